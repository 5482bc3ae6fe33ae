"""Palettes: the few values that stand for all of a weight's, by k-means in one dimension (Lloyd 1982).

A weight in float16 has 63,488 different values at most, so the clustering looks at how often each occurs, and not at
the weights. With an importance it is the weighted error that counts (SqueezeLLM, Kim et al. 2023).
"""

from __future__ import annotations

import numpy as np

from edgepack.runtime.types import Array

_ROUNDS = 60
_SETTLED = 1e-6  # relative change of the error, below which another round brings nothing


def palette(rows: Array, bits: int, importance: Array | None = None) -> tuple[Array, Array]:
    """The table, float16 [2 ** bits] in ascending order, and each weight's index into it, uint8 [rows, width].

    ``importance`` float32 [width] weighs the places of a row.
    """
    values, places = np.unique(rows.astype(np.float16), return_inverse=True)
    weights = None if importance is None else np.broadcast_to(importance, rows.shape).ravel()
    counts = np.bincount(places.ravel(), weights, len(values)).astype(np.float64)
    table = _clusters(values.astype(np.float64), np.maximum(counts, 1e-30), 1 << bits).astype(np.float16)
    nearest = _nearest(values.astype(np.float64), table.astype(np.float64))
    return table, nearest.astype(np.uint8)[places].reshape(rows.shape)


def _clusters(values: Array, counts: Array, size: int) -> Array:
    """Centres [size] of ascending ``values`` that occur ``counts`` times; more centres than values repeat the last."""
    if len(values) <= size:
        return np.concatenate([values, np.full(size - len(values), values[-1])])
    total, weighted = _sums(counts), _sums(counts * values)
    centres = _start(values, counts, size)
    before = np.inf
    for _ in range(_ROUNDS):
        ends = np.searchsorted(values, (centres[1:] + centres[:-1]) / 2)
        edges = np.concatenate([[0], ends, [len(values)]])
        mass, sums = np.diff(total[edges]), np.diff(weighted[edges])
        centres = np.where(mass > 0, sums / np.where(mass > 0, mass, 1), centres)
        gained = float((sums**2 / np.where(mass > 0, mass, 1)).sum())
        if abs(gained - before) <= _SETTLED * abs(gained):
            break
        before = gained
    return np.sort(centres)


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
