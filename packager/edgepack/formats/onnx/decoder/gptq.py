"""GPTQ (Frantar et al. 2022): round weights one input at a time, those that come after make up for the error.

The error is weighed by how the inputs of a layer vary together on calibration texts. Only inputs of the same stretch of
128 are looked at together: that keeps most of the gain, and every stretch of every row is rounded at once.
"""

from __future__ import annotations

import numpy as np

from edgepack.formats.onnx.graph import Array
from edgepack.formats.onnx.rounding import Blocks

STRETCH = 128  # inputs whose errors make up for each other
_DAMPING = 0.2  # of the mean variance, added to each: calibration is short, and texts differ
_AT_ONCE = 8  # inputs, before their errors go to the rest of the stretch in one product
_TINY = 1e-12
# How far the scale may lie below the one that just holds the largest weight. Nine steps gain 2 % of the divergence.
_SEARCH = (0.82, 0.91, 1.0)


def covariance(rows: Array, width: int) -> Array:
    """How inputs vary together: the mean of x x^T by stretch, float32 [stretches, width, width], of rows [n, k]."""
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % width)))
    split = padded.reshape(len(rows), -1, width).transpose(1, 0, 2)
    return np.asarray(split.transpose(0, 2, 1) @ split / np.float32(len(rows)))


def factors(together: Array) -> Array:
    """The upper Cholesky factor of each inverse covariance, float32 [stretches, width, width].

    Inputs that are always zero get a variance of their own, so that every matrix can be inverted.
    """
    width = together.shape[1]
    sides = np.arange(width)
    variance = together[:, sides, sides]
    mean = np.maximum(variance.mean(axis=1, keepdims=True), _TINY)
    damped = together.astype(np.float64)
    damped[:, sides, sides] += np.where(variance > 0, _DAMPING * mean, mean)
    lower = np.linalg.cholesky(np.linalg.inv(damped))
    return np.ascontiguousarray(lower.transpose(0, 2, 1), dtype=np.float32)


def rounded(matrix: Array, bits: int, size: int, upper: Array) -> Blocks:
    """``matrix`` [rows, k] in symmetric blocks of ``size`` along k, for the ``upper`` factors of its inputs."""
    half, (stretches, wide, _) = 1 << (bits - 1), upper.shape
    rows, k = matrix.shape
    left = np.zeros((stretches, wide, rows), np.float32)  # inputs first: each step of the loop reads whole lines
    left.reshape(-1, rows)[:k] = matrix.T
    values = np.empty((stretches, wide, rows), np.uint8)
    scales = np.empty((stretches, wide // size, rows), np.float32)
    errors = np.empty((stretches, _AT_ONCE, rows), np.float32)
    spare = np.empty((stretches * wide * rows,), np.float32)  # new memory for each step would take longer than the step
    whole, inverse = np.empty((2, stretches, rows), np.float32)
    strength = 1 / upper[:, np.arange(wide), np.arange(wide)]
    for start in range(0, wide, _AT_ONCE):
        stop = start + _AT_ONCE
        for j in range(start, stop):
            if j % size == 0:
                scales[:, j // size] = scale = _scale(left[:, j : j + size], half, spare)
                np.divide(1, scale, out=inverse)
            column, error = left[:, j], errors[:, j - start]
            np.multiply(column, inverse, out=whole)
            _whole(whole, half)
            np.add(whole, half, out=values[:, j], casting="unsafe")
            whole *= scale
            np.subtract(column, whole, out=error)
            error *= strength[:, j, None]
            _make_up(left[:, j + 1 : stop], upper[:, j, j + 1 : stop, None], error[:, None], spare, np.multiply)
        _make_up(left[:, stop:], upper[:, start:stop, stop:].transpose(0, 2, 1), errors, spare, np.matmul)
    count = -(-k // size)
    inputs = values.reshape(-1, size, rows)[:count].transpose(2, 0, 1)
    return Blocks(np.ascontiguousarray(inputs), np.ascontiguousarray(scales.reshape(-1, rows)[:count].T), bits, k)


def _make_up(rest: Array, share: Array, error: Array, spare: Array, product: np.ufunc) -> None:
    """Take each later input's ``share`` of the ``error`` from it."""
    rest -= product(share, error, out=spare[: rest.size].reshape(rest.shape))


def _whole(values: Array, half: int) -> None:
    """Round to the integers that the bits hold."""
    np.rint(values, out=values)
    np.minimum(values, half - 1, out=values)
    np.maximum(values, -half, out=values)


def _scale(block: Array, half: int, spare: Array) -> Array:
    """The scale [stretches, rows] of least squared error for ``block`` [stretches, size, rows], as float16 holds it.

    The extreme takes the one value that the other side does not have: -half. For given integers q the error of the
    best scale is sum x^2 - (sum x q)^2 / sum q^2, so the largest second term wins.
    """
    top, bottom = block.max(axis=1), block.min(axis=1)
    plain = np.where(top > -bottom, top, bottom) / -half
    plain = np.where(np.abs(plain) < _TINY, _TINY, plain)
    best, most = plain, np.full(plain.shape, -1.0, np.float32)
    whole = spare[: block.size].reshape(block.shape)
    for factor in _SEARCH:
        tried = plain * np.float32(factor)
        np.multiply(block, (1 / tried)[:, None], out=whole)
        _whole(whole, half)
        along = np.einsum("bsr,bsr->br", block, whole)
        gain = along * along / np.maximum(np.einsum("bsr,bsr->br", whole, whole), 1.0)
        better = gain > most
        most, best = np.where(better, gain, most), np.where(better, tried, best)
    held = best.astype(np.float16).astype(np.float32)
    return np.where(held == 0, np.float32(np.finfo(np.float16).smallest_subnormal), held)
