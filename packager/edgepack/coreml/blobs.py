"""A weight file: MIL blob storage, version 2.

64 bytes of header (count of blobs, version, zeros). At a value's offset lie 64 bytes of metadata: the sentinel
0xDEADBEEF and the dtype (4 bytes each), size in bytes, offset of the data, padding bits (8 bytes each), zeros.
All little-endian (coremltools, mlmodel/src/MILBlob/Blob/StorageFormat.hpp).
"""

from __future__ import annotations

import struct
from math import prod
from pathlib import Path

import numpy as np

from edgepack.arrays import Array
from edgepack.coreml.dtypes import Dtype
from edgepack.errors import PackageDamaged

_HEADER = struct.Struct("<II56x")
_METADATA = struct.Struct("<IIQQ")
_SENTINEL = 0xDEADBEEF
_VERSION = 2
_AGAIN = "copy or convert the package again"


class Blobs:
    """``blobs.read(offset, dtype, shape)``: values from the file, which is mapped and not read as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if path.stat().st_size < _HEADER.size:
            raise self._damaged("is cut short")
        self._bytes = np.memmap(path, np.uint8, "r")
        _, version = _HEADER.unpack_from(self._bytes.data, 0)
        if version != _VERSION:
            raise self._damaged(f"has the unknown version {version}")

    def read(self, offset: int, dtype: Dtype, shape: tuple[int, ...]) -> Array:
        """Return the values whose metadata lies at ``offset``, types below a byte unpacked. Raises PackageDamaged."""
        return dtype.decode(self.find(offset, dtype, shape).data, prod(shape)).reshape(shape)

    def find(self, offset: int, dtype: Dtype, shape: tuple[int, ...]) -> Array:
        """Return the bytes of a value as they are stored, mapped and not yet read. Raises PackageDamaged."""
        wanted = dtype.size(prod(shape))
        if offset + 64 > len(self._bytes):
            raise self._damaged(f"is cut short: a value lies at {offset:,}")
        sentinel, kind, size, start = _METADATA.unpack_from(self._bytes.data, offset)
        if sentinel != _SENTINEL:
            raise self._damaged(f"holds no value at {offset:,}")
        if kind != dtype.blob or not kind or size != wanted:
            raise self._damaged(f"holds another value at {offset:,} than {wanted:,} bytes of {dtype.name}")
        if start + size > len(self._bytes):
            raise self._damaged(f"is cut short: the value at {offset:,} ends at {start + size:,}")
        return self._bytes[start : start + size]

    def _damaged(self, what: str) -> PackageDamaged:
        return PackageDamaged(f"the weight file {self._path.name} {what}", hint=_AGAIN)
