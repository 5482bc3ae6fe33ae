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
        blob = Blob(self._aligned(), kind, shape)
        number, bits = _KINDS[kind]
        data = self._end + _LINE
        spare = blob.bytes * 8 - math.prod(shape) * bits
        self._write(struct.pack("<IIQQQ4Q", _SENTINEL, number, blob.bytes, data, spare, 0, 0, 0, 0))
        for piece in pieces:
            self._write(np.ascontiguousarray(piece).data)
        if self._end - data != blob.bytes:
            raise ValueError(f"{self._end - data} bytes for {kind} {list(shape)}")
        self._count += 1
        return blob

    def _aligned(self) -> int:
        self._write(bytes(-self._end % _LINE))
        return self._end

    def _write(self, data: bytes | memoryview) -> None:
        self._end += self._stream.write(data)
