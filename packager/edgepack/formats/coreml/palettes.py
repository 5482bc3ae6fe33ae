"""Palettes: the few values that stand for all of a weight's, by k-means in one dimension (Lloyd 1982).

A weight in float16 has 63,488 different values at most, so the clustering looks at how often each occurs, and not at
the weights. With an importance it is the weighted error that counts (SqueezeLLM, Kim et al. 2023).
"""

from __future__ import annotations

import numpy as np

from edgepack.runtime.types import Array

_ROUNDS = 60
_MOVES = 24
_SETTLED = 1e-6  # relative change of the error, below which another round brings nothing
_SIGN = np.uint16(0x8000)
_BITS = np.arange(1 << 16, dtype=np.uint16)
_VALUES = np.where(_BITS >= _SIGN, _BITS ^ _SIGN, ~_BITS).view(np.float16).astype(np.float64)  # by their keys


def palette(rows: Array, bits: int, importance: Array | None = None) -> tuple[Array, Array]:
    """The table, float16 [2 ** bits] in ascending order, and each weight's index into it, uint8 [rows, width].

    ``importance`` float32 [width] weighs the places of a row.
    """
    keys = _keys(rows)
    weights = None if importance is None else np.broadcast_to(importance, rows.shape).ravel()
    counts = np.bincount(keys, weights, 1 << 16)
    there = np.flatnonzero(np.bincount(keys, minlength=1 << 16))
    values = _VALUES[there]
    table = _clusters(values, np.maximum(counts[there], 1e-30), 1 << bits).astype(np.float16)
    nearest = np.zeros(1 << 16, np.uint8)
    nearest[there] = _nearest(values, table.astype(np.float64))
    return table, nearest[keys].reshape(rows.shape)


def _keys(rows: Array) -> Array:
    """Of each value, rounded to float16, a number that is the larger the larger the value, uint16 [rows * width]."""
    stored = (rows.astype(np.float16) + np.float16(0)).ravel().view(np.uint16)  # there is no zero below zero
    return np.where(stored >= _SIGN, ~stored, stored | _SIGN)


class _Values:
    """Ascending ``values`` that occur ``counts`` times, summed up so that a cluster costs two look-ups."""

    def __init__(self, values: Array, counts: Array) -> None:
        self.values = values
        self._mass, self._sum, self._square = (_sums(counts * values**power) for power in range(3))

    def clusters(self, centres: Array) -> tuple[Array, Array, Array]:
        """Of each of ascending ``centres``: its mass, its mean (where it has mass) and its squared error."""
        ends = np.searchsorted(self.values, (centres[1:] + centres[:-1]) / 2)
        edges = np.concatenate([[0], ends, [len(self.values)]])
        mass, total, square = (np.diff(sums[edges]) for sums in (self._mass, self._sum, self._square))
        means = np.where(mass > 0, total / np.where(mass > 0, mass, 1), centres)
        return mass, means, np.maximum(square - means * total, 0)


def _clusters(values: Array, counts: Array, size: int) -> Array:
    """Centres [size] of ``values``; more centres than values repeat the last.

    Lloyd's iteration, and in between a few centres are moved: from where two can be one at little cost to where one
    should be two.
    """
    if len(values) <= size:
        return np.concatenate([values, np.full(size - len(values), values[-1])])
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
    """One in sixteen of ``centres`` taken from its neighbour and put beside the one with the largest error."""
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
    """As dense as the cube root of the values' own density, which is best for many centres (Panter & Dite 1951)."""
    edges = np.linspace(values[0], values[-1], 512)
    density = np.histogram(values, edges, weights=counts)[0]
    reached = np.concatenate([[0], np.cumsum(np.cbrt(density) + 1e-12)])
    return np.interp((np.arange(size) + 0.5) / size * reached[-1], reached, edges)


def _nearest(values: Array, table: Array) -> Array:
    return np.searchsorted((table[1:] + table[:-1]) / 2, values)


def _sums(values: Array) -> Array:
    return np.concatenate([[0.0], np.cumsum(values)])
