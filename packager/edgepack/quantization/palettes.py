"""Palettes: the few values that stand for all of a weight's, by k-means in one dimension (Lloyd 1982).

A weight in float16 has 63,488 different values at most, so the clustering looks at how often each occurs, and not at
the weights. With an importance it is the weighted error that counts (SqueezeLLM, Kim et al. 2023).
"""

from __future__ import annotations

import numpy as np

from edgepack.arrays import Array

_ROUNDS = 60
_MOVES = 24
_TOPS = range(127, 95, -1)  # steps
_SUBNORMAL = float(np.finfo(np.float16).smallest_subnormal)
_SETTLED = 1e-6  # relative change of the error, below which another round brings nothing
_SIGN = np.uint16(0x8000)
_BITS = np.arange(1 << 16, dtype=np.uint16)
_VALUES = np.where(_BITS >= _SIGN, _BITS ^ _SIGN, ~_BITS).view(np.float16).astype(np.float64)  # by their keys


def palette(rows: Array, bits: int, importance: Array | None = None) -> tuple[Array, Array]:
    """Return the table, float16 [2 ** bits] in ascending order, and each weight's index into it, uint8 [rows, width].

    ``importance`` float32 [width] or [rows, width] weighs the places of a row; what has none is not looked at.
    """
    keys, there, counts = _histogram(rows, importance)
    table = _clusters(_VALUES[there], counts, 1 << bits).astype(np.float16)
    return table, _indices(keys, there, table.astype(np.float64)).reshape(rows.shape)


def integers(rows: Array, bits: int, importance: Array | None = None) -> tuple[Array, np.float16, Array]:
    """Return palettize as ``palette`` does, with a table of int8 and a scale: (table, scale, indices).

    Several scales are tried: the largest value is one of ``_TOPS`` steps. For each, the means of what is nearest to
    each value are rounded to whole steps once more, which moves values that rounding brought too near to each other.
    """
    keys, there, counts = _histogram(rows, importance)
    known = _Values(_VALUES[there], counts)
    centres = _clusters(known.values, counts, 1 << bits)
    best, least = (np.zeros(len(centres)), np.float16(1)), np.inf
    for top in _TOPS:
        scale = np.float16(max(np.abs(centres).max() / top, _SUBNORMAL))
        steps = _steps(centres, scale)
        steps = _steps(known.clusters(steps * float(scale))[1], scale)
        error = known.error(steps * float(scale))
        if error < least:
            best, least = (steps, scale), error
    table, scale = best
    return table.astype(np.int8), scale, _indices(keys, there, table * float(scale)).reshape(rows.shape)


def _steps(centres: Array, scale: np.float16) -> Array:
    return np.clip(np.rint(centres / float(scale)), -127, 127)


def _histogram(rows: Array, importance: Array | None) -> tuple[Array, Array, Array]:
    """Return the keys of ``rows``, ascending those that count, and their importance summed up."""
    keys = _keys(rows)
    weights = None if importance is None else np.broadcast_to(importance, rows.shape).ravel()
    counts = np.bincount(keys, weights, 1 << 16).astype(np.float64)
    there = np.flatnonzero(counts)
    return keys, there, counts[there]


def _indices(keys: Array, there: Array, table: Array) -> Array:
    nearest = np.zeros(1 << 16, np.uint8)
    nearest[there] = np.searchsorted((table[1:] + table[:-1]) / 2, _VALUES[there])
    return nearest[keys]


def _keys(rows: Array) -> Array:
    """Map each value, rounded to float16, to a number of the same order, uint16 [rows * width]."""
    stored = (rows.astype(np.float16) + np.float16(0)).ravel().view(np.uint16)  # there is no zero below zero
    return np.where(stored >= _SIGN, ~stored, stored | _SIGN)


class _Values:
    """Ascending ``values`` that occur ``counts`` times, summed up so that a cluster costs two look-ups."""

    def __init__(self, values: Array, counts: Array) -> None:
        self.values = values
        self._mass, self._sum, self._square = (_sums(counts * values**power) for power in range(3))

    def clusters(self, centres: Array) -> tuple[Array, Array, Array]:
        """Return for each of ascending ``centres`` its mass, its mean (where it has mass) and its squared error."""
        ends = np.searchsorted(self.values, (centres[1:] + centres[:-1]) / 2)
        edges = np.concatenate([[0], ends, [len(self.values)]])
        mass, total, square = (np.diff(sums[edges]) for sums in (self._mass, self._sum, self._square))
        means = np.where(mass > 0, total / np.where(mass > 0, mass, 1), centres)
        return mass, means, np.maximum(square - means * total, 0)

    def error(self, centres: Array) -> float:
        """Return the squared error, each value at the nearest of ascending ``centres``."""
        mass, means, errors = self.clusters(centres)
        return float((errors + mass * (means - centres) ** 2).sum())


def _clusters(values: Array, counts: Array, size: int) -> Array:
    """Return centres [size] of ``values``; more centres than values repeat the last (without any, zero).

    Lloyd's iteration, and in between a few centres are moved: from where two can be one at little cost to where one
    should be two.
    """
    if len(values) <= size:
        return np.concatenate([values, np.full(size - len(values), values[-1] if len(values) else 0.0)])
    known = _Values(values, counts)
    centres = _settled(known, _start(values, counts, size))
    for _ in range(_MOVES):
        moved = _settled(known, _moved(known, centres))
        if known.clusters(moved)[2].sum() >= (1 - _SETTLED) * known.clusters(centres)[2].sum():
            break
        centres = moved
    return centres


def _settled(known: _Values, centres: Array) -> Array:
    before = np.inf
    for _ in range(_ROUNDS):
        _, means, errors = known.clusters(centres)
        centres = np.sort(means)
        if errors.sum() >= (1 - _SETTLED) * before:
            break
        before = errors.sum()
    return centres


def _moved(known: _Values, centres: Array) -> Array:
    """Return one in sixteen of ``centres`` taken from its neighbour and put beside the one with the largest error."""
    mass, means, errors = known.clusters(centres)
    gone = np.argsort(mass[1:] * mass[:-1] / np.maximum(mass[1:] + mass[:-1], 1e-300) * np.diff(means) ** 2)
    gone = gone[: max(len(centres) // 16, 1)] + 1
    wide = np.setdiff1d(np.argsort(-errors)[: len(gone)], gone)[: len(gone)]
    gone = gone[: len(wide)]
    spread = np.sqrt(errors[wide] / np.maximum(mass[wide], 1e-300))
    moved = means.copy()
    moved[gone], moved[wide] = means[wide] + spread, means[wide] - spread
    return np.sort(moved)


def _start(values: Array, counts: Array, size: int) -> Array:
    """Return place centres as dense as the cube root of the values' density, best for many centres (Panter & Dite
    1951).
    """
    edges = np.linspace(values[0], values[-1], 512)
    density = np.histogram(values, edges, weights=counts)[0]
    reached = np.concatenate([[0], np.cumsum(np.cbrt(density) + 1e-12)])
    start: Array = np.interp((np.arange(size) + 0.5) / size * reached[-1], reached, edges)
    return start


def _sums(values: Array) -> Array:
    return np.concatenate([[0.0], np.cumsum(values)])
