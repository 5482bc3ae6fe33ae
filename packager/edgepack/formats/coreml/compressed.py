"""The forms that Core ML stores a weight in: what is stored, what it is restored to, and the bytes that it takes.

Rows are output channels (or a table's entries): a weight [rows, ...] is looked at as a matrix [rows, width].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edgepack.formats.coreml.palettes import palette
from edgepack.formats.quantization.gptq import STRETCH, feedback, rounded
from edgepack.formats.quantization.rounding import blocks
from edgepack.runtime.types import Array

_TINY = 1e-12
_HALF = 2  # bytes


class Form(Protocol):
    """A compressed weight."""

    @property
    def bytes(self) -> int:
        """As stored, scales or tables included."""

    def restored(self) -> Array:
        """float32, the shape of the original weight."""


@dataclass(frozen=True)
class Affine:
    """Signed integers with a float16 scale per row, or per block of ``width / scale.shape[1]`` along the row."""

    values: Array  # int8 [rows, width]
    scale: Array  # float16 [rows, blocks]
    bits: int
    shape: tuple[int, ...]  # of the weight

    @property
    def bytes(self) -> int:
        """Form.bytes."""
        return -(-self.values.size * self.bits // 8) + self.scale.size * _HALF

    def restored(self) -> Array:
        """Form.restored."""
        rows, count = self.scale.shape
        scaled = self.values.reshape(rows, count, -1) * self.scale.astype(np.float32)[..., None]
        return np.asarray(scaled, np.float32).reshape(self.shape)


@dataclass(frozen=True)
class Palette:
    """Indices into tables of float16 values: one table for each of ``len(tables)`` groups of rows."""

    indices: Array  # uint8 [rows, width]
    tables: Array  # float16 [groups, 2 ** bits]
    bits: int
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Form.bytes."""
        return -(-self.indices.size * self.bits // 8) + self.tables.size * _HALF

    def restored(self) -> Array:
        """Form.restored."""
        groups = self.indices.reshape(len(self.tables), -1)
        found = np.take_along_axis(self.tables.astype(np.float32), groups.astype(np.int64), axis=1)
        return found.reshape(self.shape)


@dataclass(frozen=True)
class Sparse:
    """The largest values as float16, and a bit for each place that says whether one is there."""

    mask: Array  # bool [rows, width]
    values: Array  # float16, those that are there
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Form.bytes."""
        return -(-self.mask.size // 8) + self.values.size * _HALF

    def restored(self) -> Array:
        """Form.restored."""
        found = np.zeros(self.mask.shape, np.float32)
        found[self.mask] = self.values
        return found.reshape(self.shape)


def per_channel(weight: Array) -> Affine:
    """int8, symmetric, one scale per row."""
    rows = weight.reshape(len(weight), -1).astype(np.float32)
    scale = np.maximum(np.abs(rows).max(axis=1, keepdims=True) / 127, _TINY).astype(np.float16)
    scale = np.maximum(scale, np.finfo(np.float16).smallest_subnormal)
    values = np.clip(np.rint(rows / scale.astype(np.float32)), -127, 127).astype(np.int8)
    return Affine(values, scale, 8, weight.shape)


def blockwise(weight: Array, bits: int, size: int, importance: Array | None = None) -> Affine:
    """``bits`` (4 or 8) in blocks along the row: of ``size``, or of the divisor of the width that is nearest below.

    ``importance`` float32 [width]: the mean square of what meets each place of a row.
    """
    rows = weight.reshape(len(weight), -1).astype(np.float32)
    size = divisor(rows.shape[1], size)
    made = blocks(rows, bits, size, importance)
    scale = made.scale.astype(np.float16)
    values = made.values.astype(np.int16).reshape(rows.shape) - (1 << (bits - 1))
    return Affine(values.astype(np.int8), scale, bits, weight.shape)


def compensated(weight: Array, bits: int, size: int, moments: Array) -> Affine:
    """As ``blockwise``, each error made up for by what comes after it in its stretch of inputs (GPTQ).

    ``moments`` float32 [stretches, 128, 128] of what enters the layer.
    """
    rows = weight.reshape(len(weight), -1).astype(np.float32)
    size = divisor(rows.shape[1], size)
    if STRETCH % size:
        return blockwise(weight, bits, size, np.diagonal(moments, axis1=1, axis2=2).ravel()[: rows.shape[1]])
    made = rounded(rows, bits, size, feedback(moments))
    values = made.values.astype(np.int16).reshape(rows.shape) - (1 << (bits - 1))
    return Affine(values.astype(np.int8), made.scale.astype(np.float16), bits, weight.shape)


def palettized(weight: Array, bits: int, group: int = 0, importance: Array | None = None) -> Palette:
    """``2 ** bits`` values for each ``group`` rows (0: for all; the last of a count that divides the rows)."""
    rows = weight.reshape(len(weight), -1).astype(np.float32)
    size = divisor(len(rows), group) if group else len(rows)
    tables, indices = zip(
        *(palette(rows[start : start + size], bits, importance) for start in range(0, len(rows), size)), strict=True
    )
    return Palette(np.concatenate(indices), np.stack(tables), bits, weight.shape)


def pruned(weight: Array, share: float) -> Sparse:
    """All but the ``share`` (0..1) of smallest magnitude."""
    rows = weight.reshape(len(weight), -1)
    keep = rows.size - int(rows.size * share)
    order = np.argsort(-np.abs(rows).ravel(), kind="stable")[:keep]
    mask = np.zeros(rows.size, bool)
    mask[order] = True
    mask = mask.reshape(rows.shape)
    return Sparse(mask, rows[mask].astype(np.float16), weight.shape)


def divisor(width: int, size: int) -> int:
    """The largest divisor of ``width`` that is at most ``size``, where it is half of it at least; else the width."""
    found = max(part for part in range(1, min(size, width) + 1) if width % part == 0)
    return found if 2 * found >= min(size, width) else width
