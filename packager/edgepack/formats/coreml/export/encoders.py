"""Make each form of a weight: integers by channel or block, palettes, and what is left of them when values go.

``importance`` float32 [width]: the mean square of what meets each place of a row. ``moments`` float32
[groups, 128, 128]: how what enters the layer varies together. ``mask`` bool [rows, width]: the values that stay, of
a form that will be Sparse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

import numpy as np

from edgepack.arrays import Array
from edgepack.formats.coreml.export.compressed import Affine, Palette, divisor
from edgepack.quantization import gptq, palettes
from edgepack.quantization.rounding import Blocks, blocks

_TINY = 1e-12


def per_channel(weight: Array) -> Affine:
    """Return int8, symmetric, one scale per row."""
    rows = matrix(weight)
    scale = np.maximum(np.abs(rows).max(axis=1, keepdims=True) / 127, _TINY).astype(np.float16)
    scale = np.maximum(scale, np.finfo(np.float16).smallest_subnormal)
    values = np.clip(np.rint(rows / scale.astype(np.float32)), -127, 127).astype(np.int8)
    return Affine(values, scale, 8, weight.shape)


def blockwise(weight: Array, bits: int, size: int, importance: Array | None = None) -> Affine:
    """Return ``bits`` (4 or 8) in blocks along the row, whose length ``block`` tells."""
    rows = matrix(weight)
    return _affine(weight, blocks(rows, bits, block(weight.shape, size), importance))


def compensated(weight: Array, bits: int, size: int, moments: Array) -> Affine:
    """Encode as ``blockwise`` does, each error made up for by what comes after it in its group of inputs (GPTQ)."""
    rows, size = matrix(weight), block(weight.shape, size)
    if gptq.GROUP % size:
        return blockwise(weight, bits, size, np.diagonal(moments, axis1=1, axis2=2).ravel()[: rows.shape[1]])
    return _affine(weight, gptq.rounded(rows, bits, size, gptq.feedback(moments)))


def palettized(weight: Array, bits: int, group: int = 0, importance: Array | None = None) -> Palette:
    """Return ``2 ** bits`` values for each ``group`` rows (0: for all; else of a count that divides the rows).

    ``importance`` may be float32 [rows, width] here, and zero where a value does not count.
    """
    tables, indices = zip(*(palettes.palette(*part) for part in _groups(weight, bits, group, importance)), strict=True)
    return Palette(np.concatenate(indices), np.stack(tables), bits, weight.shape)


def palettized_integers(weight: Array, bits: int, group: int = 0, importance: Array | None = None) -> Palette:
    """Encode as ``palettized`` does, with values that are int8 with a scale for each table."""
    parts = _groups(weight, bits, group, importance)
    tables, scales, indices = zip(*(palettes.integers(*part) for part in parts), strict=True)
    return Palette(np.concatenate(indices), np.stack(tables), bits, weight.shape, np.array(scales, np.float16))


def fed_back(form: Palette, weight: Array, moments: Array, mask: Array | None = None) -> Palette:
    """Return ``form`` with other indices: each error, what ``mask`` drops too, made up for by what comes after it
    (GPTQ).
    """
    return replace(form, indices=gptq.indexed(matrix(weight), form.values(), gptq.feedback(moments), mask))


def kept(weight: Array, share: float, importance: Array | None) -> Array:
    """Return the mask without the ``share`` (0..1) that counts least: by square times importance (Wanda, Sun et al.
    2023).
    """
    rows = matrix(weight)
    worth = np.square(rows) * (1 if importance is None else importance)
    mask = np.zeros(rows.size, bool)
    mask[np.argsort(-worth, axis=None, kind="stable")[: rows.size - int(rows.size * share)]] = True
    return mask.reshape(rows.shape)


def pruned(weight: Array, mask: Array, moments: Array | None) -> Array:
    """Return ``weight``, zero where ``mask`` drops a value, the rest making up for it (SparseGPT, Frantar &
    Alistarh 2023).
    """
    rows = matrix(weight)
    left = rows * mask if moments is None else gptq.pruned(rows, mask, gptq.feedback(moments))
    return left.reshape(weight.shape)


def matrix(weight: Array) -> Array:
    """Return float32 [rows, width]."""
    return np.asarray(weight.reshape(len(weight), -1), np.float32)


def block(shape: tuple[int, ...], size: int) -> int:
    """Return the places of a row that share a scale: ``size`` at most (0: all), and of a kernel whole channels of
    input.

    A number of channels that divides theirs, unless it were less than half of what is asked for: then all of them.
    """
    places = prod(shape[2:])
    return divisor(shape[1], max(size // places, 1)) * places if size else shape[1] * places


def _affine(weight: Array, made: Blocks) -> Affine:
    values = made.values.astype(np.int16).reshape(len(weight), -1) - (1 << (made.bits - 1))
    return Affine(values.astype(np.int8), made.scale.astype(np.float16), made.bits, weight.shape)


def _groups(
    weight: Array, bits: int, group: int, importance: Array | None
) -> Iterator[tuple[Array, int, Array | None]]:
    rows = matrix(weight)
    size = divisor(len(rows), group) if group else len(rows)
    each = None if importance is None else np.broadcast_to(importance, rows.shape)
    for start in range(0, len(rows), size):
        yield rows[start : start + size], bits, None if each is None else each[start : start + size]
