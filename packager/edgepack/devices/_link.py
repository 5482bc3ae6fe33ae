"""A program on a device, spoken with over its standard streams in lines of JSON; what it says is not trusted."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import IO, Self

from edgepack.documents import JsonDict, JsonObject, parse_json
from edgepack.errors import DeviceAnswerWrong, DeviceLacks, DeviceLost
from edgepack.printable import printable

LONGEST = 1 << 20  # bytes of a line, where an answer holds no arrays
_WORDS = 1 << 16  # bytes of what is said on standard error that are kept
_PIECE = 1 << 16
_AHEAD = 16  # pieces that are read before they are asked for
_PATIENCE = 120.0  # seconds without a line; the runtime says every few seconds that it is alive
_SLOWEST = 10_000.0  # bytes per second of a line
_END = 5.0  # seconds for the program to end by itself
_HINT = "edgepack devices ADDRESS shows its state"

_Said = bytes | None  # a piece of what is said; None at the end


class Link:
    """A process of this machine, such as ssh, through which ``name`` is reached.

    Raises DeviceLacks where it cannot be started.
    """

    def __init__(self, command: Sequence[str], name: str) -> None:
        self.name = name
        self._pieces: queue.Queue[_Said] = queue.Queue(_AHEAD)
        self._kept = bytearray()  # of a line that has no end yet
        self._words: deque[bytes] = deque(maxlen=_WORDS // 1024)
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
        except OSError as error:
            raise DeviceLacks(
                f"{name}: {command[0]} cannot be started on this machine: {error.strerror}",
                hint="devices.toml can name another interpreter: python = …",
            ) from error
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._read, self._hear)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, request: JsonObject, *, most: int = LONGEST) -> JsonDict:
        """Send a request and return the object that answers it, of ``most`` bytes. Raises as ``receive`` does."""
        self.send_object(request)
        return self.receive(most=most)

    def send_object(self, request: JsonObject) -> None:
        """Send a line. Raises DeviceLost."""
        self.send(json.dumps(request).encode() + b"\n")

    def send(self, data: bytes) -> None:
        """Send bytes. Raises DeviceLost."""
        stream = _open(self._process.stdin)
        try:
            stream.write(data)
            stream.flush()
        except OSError as error:
            raise self.lost() from error

    def receive(self, *, most: int = LONGEST, patience: float = _PATIENCE) -> JsonDict:
        """Return the next object. Raises DeviceLost at the end, or after silence; DeviceAnswerWrong."""
        return self.parsed(self.line(most=most, patience=patience))

    def line(self, *, most: int = LONGEST, patience: float = _PATIENCE) -> bytes:
        """Return the next line.

        Raises DeviceLost at the end, or where none is whole after ``patience`` seconds and what its bytes take;
        DeviceAnswerWrong for one that is too long.
        """
        searched, started = 0, time.monotonic()
        while (end := self._kept.find(b"\n", searched)) < 0:
            searched = len(self._kept)
            if searched > most:
                raise DeviceAnswerWrong(f"{self.name} answers with a line of more than {most:,} bytes", hint=_HINT)
            late = started + patience + searched / _SLOWEST
            self._kept += self._piece(late - time.monotonic())
        line = bytes(self._kept[: end + 1])
        del self._kept[: end + 1]
        return line

    def _piece(self, patience: float) -> bytes:
        try:
            piece = self._pieces.get(timeout=max(patience, 0.0))
        except queue.Empty as error:
            raise DeviceLost(f"{self.name} does not answer any more", hint=_HINT) from error
        if piece is None:
            raise self.lost()
        return piece

    def parsed(self, line: bytes) -> JsonDict:
        """Return the object in a line. Raises DeviceAnswerWrong."""
        found = parse_json(line, f"what {self.name} answers", DeviceAnswerWrong, hint=_HINT)
        if not isinstance(found, dict):
            raise DeviceAnswerWrong(f"{self.name} did not answer with an object: {line[:60]!r}", hint=_HINT)
        return found

    def lost(self) -> DeviceLost:
        """Return the error of a connection that has ended, with the last that was said."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END)
        self._threads[1].join(1.0)
        said = self.words()
        return DeviceLost(
            f"the connection to {self.name} broke off{f': {said}' if said else ''}",
            hint="once it is reachable again, the same command goes on where it stopped",
        )

    @property
    def ended(self) -> int | None:
        """The exit code of the process of this machine; None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(_END)
        return None

    def words(self) -> str:
        """Return the last line that was said on standard error, or ""."""
        lines = b"".join(self._words).decode(errors="replace").strip().splitlines()
        return printable(lines[-1].strip())[:300] if lines else ""

    def close(self) -> None:
        """Close the connection, by which what runs there ends."""
        self._closed.set()
        with suppress(OSError):
            _open(self._process.stdin).close()
        with suppress(queue.Empty):
            while True:
                self._pieces.get_nowait()
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(1.0)
        for stream in (self._process.stdout, self._process.stderr):
            _open(stream).close()

    def _read(self) -> None:
        """Hand on pieces as they come, none faster than they are used; the last one is None."""
        stream = _open(self._process.stdout).fileno()
        while not self._closed.is_set():
            piece = os.read(stream, _PIECE) or None
            self._put(piece)
            if piece is None:
                return

    def _put(self, piece: _Said) -> None:
        while not self._closed.is_set():
            with suppress(queue.Full):
                self._pieces.put(piece, timeout=0.2)
                return

    def _hear(self) -> None:
        stream = _open(self._process.stderr).fileno()
        while data := os.read(stream, 1024):
            self._words.append(data)


def _open(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream
