"""The dtypes of MIL (the language of ML Programs): their numbers in the file, their bits, and numpy's nearest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepack.arrays import Array


@dataclass(frozen=True)
class Dtype:
    """``name`` is numpy's where numpy has it; types below a byte are held in bytes and stored packed."""

    name: str
    bits: int
    held: str  # numpy's dtype that holds a value
    blob: int  # the number in a weight file; 0: never there

    @property
    def packed(self) -> bool:
        """Several values to the byte, the first in the lowest bits."""
        return self.bits < 8

    @property
    def floating(self) -> bool:
        """True if it is a float."""
        return self.name.startswith("float")

    def size(self, count: int) -> int:
        """Return the bytes that ``count`` values take."""
        return -(-count * self.bits // 8)

    def decode(self, raw: bytes | memoryview, count: int) -> Array:
        """Return ``count`` values of little-endian ``raw``."""
        if not self.packed:
            return np.frombuffer(raw, np.dtype(self.held).newbyteorder("<"), count)
        bits = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")[: count * self.bits]
        values = np.packbits(bits.reshape(count, self.bits), axis=1, bitorder="little")[:, 0]
        if self.held == "uint8":
            return values
        unused = 8 - self.bits
        return (values << unused).view(np.int8) >> unused  # the topmost bit is the sign


# MIL.proto's DataType: number -> type; the last column is MILBlob's BlobDataType
MIL = {
    1: Dtype("bool", 8, "bool", 0),
    2: Dtype("string", 0, "object", 0),
    10: Dtype("float16", 16, "float16", 1),
    11: Dtype("float32", 32, "float32", 2),
    12: Dtype("float64", 64, "float64", 0),
    21: Dtype("int8", 8, "int8", 4),
    22: Dtype("int16", 16, "int16", 6),
    23: Dtype("int32", 32, "int32", 14),
    24: Dtype("int64", 64, "int64", 0),
    25: Dtype("int4", 4, "int8", 8),
    31: Dtype("uint8", 8, "uint8", 3),
    32: Dtype("uint16", 16, "uint16", 7),
    33: Dtype("uint32", 32, "uint32", 15),
    34: Dtype("uint64", 64, "uint64", 0),
    35: Dtype("uint4", 4, "uint8", 11),
    36: Dtype("uint2", 2, "uint8", 10),
    37: Dtype("uint1", 1, "uint8", 9),
    38: Dtype("uint6", 6, "uint8", 13),
    39: Dtype("uint3", 3, "uint8", 12),
}
