"""A service of the bundle: ``python3 -m edgepack_model`` answers as OpenAI's API does."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial

from edgepack.errors import EdgepackError
from edgepack.runtime import manifest, serving
from edgepack_model._bundle import BUNDLE, opened

_USUAL = serving.Limits()
_KEY = "EDGEPACK_SERVE_KEY"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m edgepack_model", description="Answer over HTTP as OpenAI's API does, at /v1, and at /health."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0 is every network's")
    parser.add_argument("--port", type=int, default=8080, help="port; 0 takes a free one")
    parser.add_argument("--waiting", type=int, default=_USUAL.waiting, help="requests that may wait; then 429")
    parser.add_argument("--body", type=int, default=_USUAL.body, help="bytes of the largest request")
    parser.add_argument("--tokens", type=int, default=_USUAL.tokens, help="most tokens of an answer")
    parser.add_argument("--timeout", type=float, default=_USUAL.answer_time, help="seconds that an answer may take")
    parser.add_argument("--idle-stop", type=float, help="stop after so many seconds without a request")
    parser.add_argument("--threads", type=int, help="threads (default: the target's number)")
    return parser.parse_args()


def main() -> int:
    """Serve until SIGTERM; the exit code."""
    given = _arguments()
    try:
        limits = serving.Limits(
            waiting=given.waiting,
            body=given.body,
            tokens=given.tokens,
            answer_time=given.timeout,
            idle_stop=given.idle_stop,
        )
        listed = manifest.read(BUNDLE)
        serving.serve(
            listed.name,
            listed.task,
            partial(opened, BUNDLE, given.threads),
            host=given.host,
            port=given.port,
            limits=limits,
            key=os.environ.get(_KEY),
            say=lambda line: print(line, flush=True),
        )
    except EdgepackError as error:
        print(f"error: {error}\n hint: {error.hint}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
