"""The weight file of an ML Program, written once from front to back, a piece at a time.

Format (MIL blob storage, version 2, as coremltools' own writer leaves it): a header of 64 bytes with the number of
blobs; then for each blob an entry of 64 bytes (sentinel, type, bytes, where its data begins, bits that pad its last
byte) and the data, both at multiples of 64. Programs refer to a blob by where its entry begins.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from edgepack.arrays import Array

_VERSION, _SENTINEL, _LINE = 2, 0xDEADBEEF, 64
HEADER = _LINE  # bytes before the first blob
# the file's number of each type, and the bits of a value
_KINDS = {
    "float16": (1, 16), "float32": (2, 32), "int8": (4, 8), "int4": (8, 4), "uint4": (11, 4), "uint6": (13, 6),
    "int32": (14, 32),
}  # fmt: skip


@dataclass(frozen=True)
class Blob:
    """A tensor in the file."""

    offset: int  # of its entry
    kind: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Size as stored."""
        return size(self.kind, self.shape)


@dataclass(frozen=True)
class Entry:
    """A tensor as the file describes it."""

    number: int  # of its type
    bytes: int
    spare: int  # bits that pad its last byte


def place(file: Path, offset: int) -> tuple[Entry, int]:
    """Return the tensor whose entry begins at ``offset``, and where its data begin."""
    _, number, count, data, spare = struct.unpack("<IIQQQ", np.memmap(file, np.uint8, "r", offset, (32,)).tobytes())
    return Entry(number, count, spare), data


def read(file: Path, offset: int) -> tuple[Entry, Array]:
    """Return the tensor whose entry begins at ``offset``, and its bytes, mapped and not yet read."""
    entry, data = place(file, offset)
    return entry, np.memmap(file, np.uint8, "r", data, (entry.bytes,))


def size(kind: str, shape: tuple[int, ...]) -> int:
    """Return bytes of a tensor as it is stored."""
    return -(-math.prod(shape) * _KINDS[kind][1] // 8)


def room(kind: str, shape: tuple[int, ...]) -> int:
    """Return bytes that a tensor takes of the file: its entry, and its data up to where the next entry can begin."""
    return _LINE + -(-size(kind, shape) // _LINE) * _LINE


class Store:
    """``add`` appends a tensor to ``file``. The header is written when the store is closed."""

    def __init__(self, file: Path) -> None:
        self._stream = file.open("wb")
        self._count, self._end = 0, self._stream.write(bytes(HEADER))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.seek(0)
        self._stream.write(struct.pack("<II", self._count, _VERSION))
        self._stream.close()

    def add(self, kind: str, shape: tuple[int, ...], pieces: Iterable[Array]) -> Blob:
        """Return ``pieces`` one after the other, packed as the file holds them; each is written before the next is
        made.

        Raises ValueError where they are not as many bytes as ``shape`` takes.
        """
        number, bits = _KINDS[kind]
        spare = size(kind, shape) * 8 - math.prod(shape) * bits
        return Blob(self.put(Entry(number, size(kind, shape), spare), pieces), kind, shape)

    def put(self, entry: Entry, pieces: Iterable[Array]) -> int:
        """Return where the entry of a tensor, written as ``add`` does, begins. Raises ValueError as ``add`` does."""
        offset = self._aligned()
        data = offset + _LINE
        self._write(struct.pack("<IIQQQ4Q", _SENTINEL, entry.number, entry.bytes, data, entry.spare, 0, 0, 0, 0))
        for piece in pieces:
            self._write(np.ascontiguousarray(piece).data)
        if self._end - data != entry.bytes:
            raise ValueError(f"{self._end - data} bytes for {entry}")
        self._count += 1
        return offset

    def _aligned(self) -> int:
        self._write(bytes(-self._end % _LINE))
        return self._end

    def _write(self, data: bytes | memoryview) -> None:
        self._end += self._stream.write(data)
