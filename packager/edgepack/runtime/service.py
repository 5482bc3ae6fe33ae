"""A bundle that answers a host: ``python -m edgepack.runtime.service FOLDER THREADS`` on the device.

It reads a request in each line of standard input and writes lines of JSON: ``{"result": …}`` or ``{"error": …}`` ends
an answer, ``{"alive": true}`` comes every few seconds, ``{"piece": …}`` before the end of a text that is being made.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import GeneratorType
from typing import BinaryIO

from edgepack.documents import Json, JsonDict, parse_json
from edgepack.errors import EdgepackError, UsageError
from edgepack.runtime import wire
from edgepack.runtime.opening import opened
from edgepack.runtime.quiet import Rules
from edgepack.runtime.runner import Here

CALLS = (
    "classify",
    "continued",
    "generate",
    "predict",
    "negative_log_likelihoods",
)  # of a task's object, that are made here
_ALIVE = 3.0  # seconds between two signs of life


class Service:
    """The bundle in ``folder``, and ``out``, where the answers go."""

    def __init__(self, folder: Path, threads: int | None, out: BinaryIO) -> None:
        self._out, self._writing = out, threading.Lock()
        threading.Thread(target=self._live, daemon=True).start()
        self._runner = Here(opened(folder, verify=False, trust=True), threads)

    def serve(self, lines: BinaryIO) -> None:
        """Answer requests until there are no more."""
        for line in iter(lines.readline, b""):
            self._answer(line)

    def _answer(self, line: bytes) -> None:
        try:
            request: JsonDict = parse_json(line, "the request", UsageError)
            answer = {"result": _ASKED[request.pop("ask")](self, **request)}
        except EdgepackError as error:
            answer = {"error": {"kind": type(error).__name__, "said": str(error), "hint": error.hint}}
        except ImportError as error:  # of a library that is there: made for another processor, or in part
            hint = "--prepare brings the packages for its processor"
            answer = {"error": {"kind": "DeviceLacks", "said": f"a package cannot be loaded: {error}", "hint": hint}}
        except Exception as error:  # tells the host what nobody foresaw
            traceback.print_exc()
            answer = {"error": {"kind": "Unexpected", "said": f"{type(error).__name__}: {error}", "hint": ""}}
        self.say(answer)

    def say(self, answer: JsonDict) -> None:
        """Write a line."""
        with self._writing:
            self._out.write(json.dumps(answer).encode() + b"\n")
            self._out.flush()

    def open(self) -> Json:
        """Open every submodel; on what each computes."""
        return {name: asdict(self._runner.where(name)) for name in self._runner.sessions}

    def untimed(self, name: str) -> Json:
        """Return why a submodel cannot be timed here, or null."""
        found = self._runner.untimed(name)
        return None if found is None else asdict(found)

    def measure(self, name: str, shapes: list[str], rules: JsonDict) -> Json:
        """Time a submodel; what is told meanwhile is sent in pieces."""
        made = self._runner.measure(name, shapes, Rules(**rules), say=lambda line: self.say({"piece": line}))
        return [asdict(timing) for timing in made]

    def golden(self, name: str) -> Json:
        """Run golden vectors."""
        return wire.write(asdict(self._runner.golden(name)))

    def run(self, name: str, scoring: bool, feeds: Json) -> Json:
        """Run a submodel."""
        runs = self._runner.scorers if scoring else self._runner.sessions
        return wire.write(runs[name](wire.arrays(feeds)))

    def call(self, method: str, given: Json, named: Json) -> Json:
        """Make a call of the task's object; the pieces of a text are sent as they are made."""
        if method not in CALLS:
            raise UsageError(f"no call {method!r}", hint=f"there are {', '.join(CALLS)}")
        model = self._runner.model()
        made = getattr(model, method)(*wire.read(given), **wire.read(named))
        if isinstance(made, GeneratorType | Iterator):
            for piece in made:
                self.say({"piece": wire.write(piece)})
            return wire.write({"last": asdict(model.last)} if getattr(model, "last", None) else {})
        return wire.write(made)

    def _live(self) -> None:
        wait = threading.Event()
        while not wait.wait(_ALIVE):
            self.say({"alive": True})


_ASKED: dict[str, Callable[..., Json]] = {
    "open": Service.open,
    "untimed": Service.untimed,
    "measure": Service.measure,
    "golden": Service.golden,
    "run": Service.run,
    "call": Service.call,
}


def _main(folder: str, threads: str) -> None:
    """Serve; what libraries print goes to standard error, so that standard output holds answers alone."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        service = Service(Path(folder), int(threads) or None, out)
    except EdgepackError as error:
        _fail(out, error)
        return
    service.say({"result": True})
    service.serve(sys.stdin.buffer)


def _fail(out: BinaryIO, error: EdgepackError) -> None:
    told = {"kind": type(error).__name__, "said": str(error), "hint": error.hint}
    out.write(json.dumps({"error": told}).encode() + b"\n")
    out.flush()


if __name__ == "__main__":
    _main(*sys.argv[1:])
