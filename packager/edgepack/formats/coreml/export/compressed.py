"""The forms that Core ML stores a weight in: what is stored, what it is restored to, and the bytes that it takes.

Rows are output channels (or a table's entries): a weight [rows, ...] is looked at as a matrix [rows, width].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edgepack.arrays import Array

_HALF = 2  # bytes


class Encoding(Protocol):
    """A compressed weight."""

    @property
    def bytes(self) -> int:
        """Size as stored, scales, tables and masks included."""

    def restored(self) -> Array:
        """Return float32 of what float16 holds, the shape of the original weight."""


class DenseEncoding(Encoding, Protocol):
    """A form that has a value for every place; in a sparse one, those that are left out are not stored."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weight."""

    def stored(self, places: int) -> int:
        """Return bytes, where so many of the values are stored."""


@dataclass(frozen=True)
class Floats:
    """float16 as it is."""

    values: Array  # float16 [rows, width]
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Size as stored; see Encoding.bytes."""
        return self.stored(self.values.size)

    def stored(self, places: int) -> int:
        """Store the weight; see DenseEncoding.stored."""
        return places * _HALF

    def restored(self) -> Array:
        """Restore the weight; see Encoding.restored."""
        return self.values.astype(np.float32).reshape(self.shape)


@dataclass(frozen=True)
class Affine:
    """Signed integers with a float16 scale per row, or per block of ``width / scale.shape[1]`` along the row."""

    values: Array  # int8 [rows, width]
    scale: Array  # float16 [rows, blocks]
    bits: int
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Size as stored; see Encoding.bytes."""
        return self.stored(self.values.size)

    def stored(self, places: int) -> int:
        """Store the weight; see DenseEncoding.stored."""
        return -(-places * self.bits // 8) + self.scale.size * _HALF

    def restored(self) -> Array:
        """Restore the weight; see Encoding.restored."""
        rows, count = self.scale.shape
        scaled = self.values.reshape(rows, count, -1) * self.scale.astype(np.float32)[..., None]
        return _halves(scaled).reshape(self.shape)


@dataclass(frozen=True)
class Palette:
    """Indices into tables of values: one table for each of ``len(tables)`` groups of rows.

    Tables are float16, or int8 with a float16 ``scale`` for each.
    """

    indices: Array  # uint8 [rows, width]
    tables: Array  # float16 or int8 [groups, 2 ** bits]
    bits: int
    shape: tuple[int, ...]
    scale: Array | None = None  # [groups]

    @property
    def bytes(self) -> int:
        """Size as stored; see Encoding.bytes."""
        return self.stored(self.indices.size)

    def stored(self, places: int) -> int:
        """Store the weight; see DenseEncoding.stored."""
        scales = 0 if self.scale is None else self.scale.size * _HALF
        return -(-places * self.bits // 8) + self.tables.nbytes + scales

    def values(self) -> Array:
        """Return the tables as they are restored, float32 [groups, 2 ** bits]."""
        values = self.tables.astype(np.float32)
        return values if self.scale is None else _halves(values * self.scale.astype(np.float32)[:, None])

    def restored(self) -> Array:
        """Restore the weight; see Encoding.restored."""
        values = self.values()
        groups = self.indices.reshape(len(values), -1)
        return np.take_along_axis(values, groups.astype(np.int64), axis=1).reshape(self.shape)


@dataclass(frozen=True)
class Sparse:
    """Those values of ``whole`` that ``mask`` keeps, and a bit for each place that says whether one is there."""

    mask: Array  # bool [rows, width]
    whole: DenseEncoding

    @property
    def bytes(self) -> int:
        """Size as stored; see Encoding.bytes."""
        return -(-self.mask.size // 8) + self.whole.stored(int(np.count_nonzero(self.mask)))

    def restored(self) -> Array:
        """Restore the weight; see Encoding.restored."""
        whole = self.whole.restored()
        return np.where(self.mask.reshape(whole.shape), whole, np.float32(0))


def divisor(width: int, size: int) -> int:
    """Return the largest divisor of ``width`` that is at most ``size``, where it is half of it at least; else the
    width.
    """
    found = max(part for part in range(1, min(size, width) + 1) if width % part == 0)
    return found if 2 * found >= min(size, width) else width


def _halves(values: Array) -> Array:
    return values.astype(np.float16).astype(np.float32)
