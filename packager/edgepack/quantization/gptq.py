"""GPTQ (Frantar et al. 2022): round weights a few inputs at a time, those that come after make up for the error.

The error is weighed by how the inputs of a layer vary together on calibration texts. Only inputs of the same group of
128 are looked at together: that keeps most of the gain, and every group of every row is rounded at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgepack.arrays import Array
from edgepack.parallel import in_parts
from edgepack.quantization.rounding import Blocks, float16

GROUP = 128  # inputs whose errors make up for each other
_DAMPING = 0.2  # of the mean variance, added to each: calibration is short, and texts differ
_AT_ONCE = 8  # inputs that are rounded together; one by one gains 2 % of the divergence and takes twice as long
_GROUPS_AT_ONCE = 8  # that a thread inverts at once
_APART = 8  # floats
_TINY = 1e-12
# How far the scale may lie below the one that just holds the largest weight, before it is fitted to the integers that
# come of it. A finer search gains nothing: the errors that come later change the integers.
_SEARCH = (0.88, 1.0)


def covariance(rows: Array, width: int) -> Array:
    """Return how inputs vary together: the mean of x x^T by group, float32 [groups, width, width], of rows [n,
    k].
    """
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % width)))
    split = padded.reshape(len(rows), -1, width).transpose(1, 0, 2)
    return np.asarray(split.transpose(0, 2, 1) @ split / np.float32(len(rows)))


def feedback(covariance: Array) -> list[Array]:
    """Return what each later input takes on of the errors of each ``_AT_ONCE`` inputs: float32 [groups, later,
    _AT_ONCE].

    With the inverse of the covariance as U^T U, U upper triangular, errors d of the inputs g are best made up for by
    -d U_gg^-1 U_gl in the inputs l that come after. U is the inverse of the R in covariance = R R^T, and R_gg U_gl is
    the product. Inputs that are always zero get a variance of their own, so that every matrix can be inverted.
    """
    parts = list(in_parts(lambda start, stop: _triangles(covariance[start:stop]), len(covariance), _GROUPS_AT_ONCE))
    outer, inner = (np.concatenate(kind) for kind in zip(*parts, strict=True))
    width = covariance.shape[1]
    groups = [slice(start, start + _AT_ONCE) for start in range(0, width - _AT_ONCE, _AT_ONCE)]
    passed_on = [outer[:, g, g] @ inner[:, g, g.stop :] for g in groups]
    return [np.ascontiguousarray(share.transpose(0, 2, 1), dtype=np.float32) for share in passed_on]


def _triangles(covariance: Array) -> tuple[Array, Array]:
    """Return R and its inverse, float64 [groups, width, width]."""
    sides = np.arange(covariance.shape[1])
    variance = covariance[:, sides, sides]
    mean = np.maximum(variance.mean(axis=1, keepdims=True), _TINY)
    damped = covariance.astype(np.float64)
    damped[:, sides, sides] += np.where(variance > 0, _DAMPING * mean, mean)
    # Cholesky's factor is a lower triangle; back to front it is an upper one
    outer = np.linalg.cholesky(damped[:, ::-1, ::-1])[:, ::-1, ::-1]
    return outer, _inverse(outer)


def _inverse(upper: Array) -> Array:
    """Invert upper triangles, by halves: a quarter of the time that a general inverse takes."""
    half = upper.shape[1] // 2
    if half < _AT_ONCE:
        return np.asarray(np.linalg.inv(upper))
    found = np.zeros_like(upper)
    first, second = _inverse(upper[:, :half, :half]), _inverse(upper[:, half:, half:])
    found[:, :half, :half], found[:, half:, half:] = first, second
    found[:, :half, half:] = -first @ upper[:, :half, half:] @ second
    return found


def rounded(matrix: Array, bits: int, size: int, feedback: Sequence[Array]) -> Blocks:
    """Return ``matrix`` [rows, k] in symmetric blocks of ``size`` along k, for the ``feedback`` of its inputs."""
    half, (groups, later, _) = 1 << (bits - 1), feedback[0].shape
    rows, k = matrix.shape
    wide = later + _AT_ONCE
    left = _transposed(matrix, groups * wide).reshape(groups, wide, rows)
    values = np.empty((groups, wide, rows), np.uint8)
    scales = np.empty((groups, wide // size, rows), np.float32)
    spare = np.empty(left.size, np.float32)  # new memory for each step would take longer than the step
    whole, inverse = np.empty((groups, _AT_ONCE, rows), np.float32), np.empty((groups, rows), np.float32)
    for start in range(0, wide, _AT_ONCE):
        stop = start + _AT_ONCE
        if start % size == 0:
            scales[:, start // size] = scale = _scale(left[:, start : start + size], half, spare)
            np.divide(1, scale, out=inverse)
        group, rest = left[:, start:stop], left[:, stop:]
        np.multiply(group, inverse[:, None], out=whole)
        _whole(whole, half)
        np.add(whole, half, out=values[:, start:stop], casting="unsafe")
        if stop < wide:
            whole *= scale[:, None]
            np.subtract(group, whole, out=whole)
            taken = spare[: rest.size].reshape(rest.shape)
            rest -= np.matmul(feedback[start // _AT_ONCE], whole, out=taken)
    count = -(-k // size)
    inputs = values.reshape(-1, size, rows)[:count].transpose(2, 0, 1)
    return Blocks(np.ascontiguousarray(inputs), np.ascontiguousarray(scales.reshape(-1, rows)[:count].T), bits, k)


def indexed(matrix: Array, tables: Array, feedback: Sequence[Array], mask: Array | None = None) -> Array:
    """Return where each weight of ``matrix`` [rows, k] lies in its row's table, uint8 [rows, k], for the inputs'
    ``feedback``.

    ``tables`` [groups, values], ascending, serve rows / groups rows each. What ``mask`` [rows, k] drops counts as zero.
    """
    rows, k = matrix.shape
    groups, later, _ = feedback[0].shape
    own = np.repeat(tables.astype(np.float32), rows // len(tables), axis=0)  # [rows, values]
    edges = np.ascontiguousarray((own[:, 1:] + own[:, :-1]).T / 2)
    found = np.zeros((groups, later + _AT_ONCE, rows), np.uint8)

    def settle(group: Array, start: int) -> Array:
        places = found[:, start : start + _AT_ONCE]
        for edge in edges:
            places += group > edge
        return own[np.arange(rows), places]

    _followed(matrix, feedback, settle, mask)
    return np.ascontiguousarray(found.reshape(-1, rows)[:k].T)


def pruned(matrix: Array, mask: Array, feedback: Sequence[Array]) -> Array:
    """Return ``matrix`` [rows, k], zero where ``mask`` drops a weight, the later ones making up for it by ``feedback``.

    SparseGPT (Frantar & Alistarh 2023), for a mask that is known before.
    """
    return _followed(matrix, feedback, lambda group, _: group, mask)


def _followed(
    matrix: Array, feedback: Sequence[Array], settle: Callable[[Array, int], Array], mask: Array | None
) -> Array:
    """Return what ``settle`` makes of ``matrix``, float32 [rows, k], each error feedback back.

    ``settle`` is given inputs [groups, _AT_ONCE, rows] and where they begin; what ``mask`` drops becomes zero.
    """
    rows, k = matrix.shape
    groups, later, _ = feedback[0].shape
    wide = later + _AT_ONCE
    left = _transposed(matrix, groups * wide).reshape(groups, wide, rows)
    kept = None if mask is None else _transposed(mask, groups * wide).reshape(left.shape)
    for start in range(0, wide, _AT_ONCE):
        stop = start + _AT_ONCE
        group, rest = left[:, start:stop], left[:, stop:]
        made = settle(group, start)
        made = made if kept is None else made * kept[:, start:stop]
        if stop < wide:
            rest -= feedback[start // _AT_ONCE] @ (group - made)
        left[:, start:stop] = made
    return np.ascontiguousarray(left.reshape(-1, rows)[:k].T)


def _transposed(matrix: Array, wide: int) -> Array:
    """Return the inputs first, [wide, rows], zeros behind them: each step of the loop reads whole lines.

    Rows that lie a power of two apart share lines of the cache; a little more between them makes this six times
    as fast.
    """
    rows, k = matrix.shape
    apart = np.empty((rows, k + _APART), np.float32)
    apart[:, :k] = matrix
    turned = np.empty((wide, rows), np.float32)
    turned[:k], turned[k:] = apart[:, :k].T, 0
    return turned


def _whole(values: Array, half: int) -> None:
    """Round to the integers that the bits hold."""
    np.rint(values, out=values)
    np.clip(values, -half, half - 1, out=values)


def _scale(block: Array, half: int, spare: Array) -> Array:
    """Return the scale [groups, rows] of least squared error for ``block`` [groups, size, rows], as float16 holds
    it.

    The extreme takes the one value that the other side does not have: -half. For given integers q the best scale is
    sum x q / sum q^2, and its error is sum x^2 - (sum x q)^2 / sum q^2, so the largest second term wins.
    """
    top, bottom = block.max(axis=1), block.min(axis=1)
    plain = np.where(top > -bottom, top, bottom) / -half
    plain = np.where(np.abs(plain) < _TINY, _TINY, plain)
    best, most = plain, np.full(plain.shape, -1.0, np.float32)
    whole = spare[: block.size].reshape(block.shape)
    for factor in _SEARCH:
        np.multiply(block, (1 / (plain * np.float32(factor)))[:, None], out=whole)
        _whole(whole, half)
        along = np.einsum("bsr,bsr->br", block, whole)
        norm = np.maximum(np.einsum("bsr,bsr->br", whole, whole), 1.0)
        gain = along * along / norm
        better = gain > most
        most, best = np.where(better, gain, most), np.where(better, along / norm, best)
    held = float16(best).astype(np.float32)
    return np.where(held == 0, np.float32(np.finfo(np.float16).smallest_subnormal), held)
