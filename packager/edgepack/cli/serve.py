"""edgepack serve: a bundle as an HTTP service."""

from __future__ import annotations

import os
from functools import partial
from typing import Annotated

import typer

from edgepack import runtime
from edgepack.cli import show
from edgepack.cli.options import Bundle, Threads, Trust, size_of
from edgepack.runtime import serving
from edgepack.runtime.opening import opened

_KEY = "EDGEPACK_SERVE_KEY"
_USUAL = serving.Limits()


def serve(
    bundle: Bundle,
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 is every network's.", metavar="<address>")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", metavar="<n>", min=0, max=65_535)] = 8080,
    waiting: Annotated[
        int, typer.Option(help="Requests that may wait; one more gets 429.", metavar="<n>", min=0, max=100_000)
    ] = _USUAL.waiting,
    connections: Annotated[
        int, typer.Option(help="Connections at once.", metavar="<n>", min=1, max=100_000)
    ] = _USUAL.connections,
    body: Annotated[
        int, typer.Option(help="Largest request.", metavar="<size>", parser=size_of("--body"), show_default="1 MB")
    ] = _USUAL.body,
    tokens: Annotated[
        int, typer.Option(help="Most tokens of an answer.", metavar="<n>", min=1, max=10_000_000)
    ] = _USUAL.tokens,
    timeout: Annotated[
        float,
        typer.Option(help="Seconds that an answer may take, waiting included.", metavar="<s>", min=0.01, max=86_400),
    ] = _USUAL.answer_time,
    grace: Annotated[
        float, typer.Option(help="Seconds for answers under way once it is to stop.", metavar="<s>", min=0, max=86_400)
    ] = _USUAL.stop_time,
    idle_stop: Annotated[
        float | None,
        typer.Option(
            help="Stop after so many seconds without a request (for socket activation).",
            metavar="<s>",
            show_default=False,
            min=1,
            max=10_000_000,
        ),
    ] = None,
    threads: Threads = None,
    trust: Trust = False,
) -> None:
    """Serve a bundle of texts over HTTP, as OpenAI's API does.

    Answers POST /v1/chat/completions, /v1/completions or /v1/embeddings, and GET /v1/models and /health. Clients have
    to send the key in EDGEPACK_SERVE_KEY, if that is set.
    """
    listed = opened(bundle, verify=False, trust=trust)
    serving.serve(
        listed.name,
        listed.task,
        partial(runtime.load, bundle, threads=threads, trust=trust),
        host=host,
        port=port,
        limits=serving.Limits(
            waiting=waiting,
            connections=connections,
            body=body,
            tokens=tokens,
            answer_time=timeout,
            stop_time=grace,
            idle_stop=idle_stop,
        ),
        key=os.environ.get(_KEY),
        say=show.line,
    )
