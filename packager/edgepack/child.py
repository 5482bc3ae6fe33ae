"""Python modules in a process of their own, which ends when this one does, at a kill -9 too.

The child's standard input is a pipe whose other end this process alone holds. However this process ends, the system
closes it; a thread of the child waits for that and ends the child. What a child says goes into files, so that neither
waits for the other.
"""

from __future__ import annotations

import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO, Self

_NONE: Mapping[str, str] = MappingProxyType({})
_CHUNK = 1 << 16  # bytes
_SCRATCH = "EDGEPACK_CHILD_SCRATCH"


@dataclass(frozen=True)
class Answer:
    """The end of a child: its exit code, what it printed, and what it said on standard error."""

    code: int
    output: str
    errors: str

    @property
    def trouble(self) -> str:
        """The last line of what it said on standard error."""
        return (self.errors.strip().splitlines() or [""])[-1]


class Child:
    """``python -m module arguments`` in ``folder``, ``environment`` added to this process's own; stopped on leaving.

    The folder ``scratch`` is the caller's to delete, with the child's temporary files in it; where this process is
    killed, the child does that.
    """

    def __init__(
        self,
        module: str,
        *arguments: str | Path,
        environment: Mapping[str, str] = _NONE,
        scratch: Path | None = None,
        folder: Path | None = None,
    ) -> None:
        told = {_SCRATCH: str(scratch), "TMPDIR": str(scratch)} if scratch is not None else {}
        self._output, self._errors = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 (stop does)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "edgepack.child", module, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=self._errors,
            env={**os.environ, **environment, **told},
            cwd=folder,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def send(self, request: str) -> None:
        """Give the module a line of text, all that it reads from its standard input."""
        stream = self._process.stdin
        assert stream is not None
        with suppress(BrokenPipeError):  # it has ended already; its answer tells why
            stream.write(request.encode() + b"\n")
            stream.flush()

    def wait(self, patience: float | None = None) -> Answer:
        """Return the module's answer, at its end. Raises subprocess.TimeoutExpired after ``patience`` seconds."""
        code = self._process.wait(patience)
        return Answer(code, _text(self._output), _text(self._errors))

    def terminate(self) -> None:
        """Ask the process to clean up and end."""
        self._process.terminate()

    def kill(self) -> None:
        """End the process, where it still runs."""
        self._process.kill()

    def stop(self) -> None:
        """End the process, where it still runs, and let go of what it said."""
        self.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._output, self._errors):
            with suppress(BrokenPipeError):  # what it was sent and never read
                if stream is not None:
                    stream.close()


def run(module: str, *arguments: str | Path, request: str = "") -> Answer:
    """Run ``module`` to its end, with a line of text on its standard input."""
    with Child(module, *arguments) as child:
        child.send(request)
        return child.wait()


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode(errors="replace")


def _serve(module: str, *arguments: str) -> None:
    """Be the child: run ``module`` as if it were the program."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent says what becomes of it
    life = os.dup(0)
    reading, writing = os.pipe()
    os.dup2(reading, 0)
    os.close(reading)
    threading.Thread(target=_follow, args=(life, writing), daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # its answer is written: do not wait for PyTorch to take itself down


def _follow(life: int, writing: int) -> None:
    """Hand the line on, and end the process when the other end of ``life`` is closed."""
    handing = True
    while data := os.read(life, _CHUNK):
        if handing:
            line, end, _ = data.partition(b"\n")
            _write(writing, line)
            if end:
                os.close(writing)
                handing = False
    if _SCRATCH in os.environ:
        shutil.rmtree(os.environ[_SCRATCH], ignore_errors=True)
    os._exit(1)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


if __name__ == "__main__":
    _serve(*sys.argv[1:])
