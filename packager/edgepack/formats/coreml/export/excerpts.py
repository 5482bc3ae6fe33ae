"""Excerpts of calibration inputs, on which it is tried what errors of single weights cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgepack.arrays import Array, Feeds

_EVERY = 3  # of the batches is tried


def few(batches: Sequence[Feeds]) -> Sequence[Feeds]:
    """Return some of ``batches``, each of texts of like length."""
    return batches[::_EVERY]


def spread(batches: Sequence[Feeds]) -> list[Feeds]:
    """Return as many of ``batches``, which were recorded one after the other: the first and the last among them."""
    count = min(max(len(batches) // _EVERY, 2), len(batches))
    return [batches[round(place)] for place in np.linspace(0, len(batches) - 1, count)]


def joined(batches: Sequence[Feeds]) -> list[Feeds]:
    """Return ``batches`` of equal shapes as one, whose scalars become one for each row: weights are read once."""
    rows = [next(len(array) for array in batch.values() if array.ndim) for batch in batches]

    def together(name: str) -> Array:
        parts = [batch[name] for batch in batches]
        if parts[0].ndim:
            return np.concatenate(parts)
        return np.repeat(np.array(parts), rows)

    return [{name: together(name) for name in batches[0]}]


def cropped(batches: Sequence[Feeds], sides: Mapping[str, int]) -> list[Feeds]:
    """Return ``batches`` with the middle of each map whose largest side is named in ``sides``.

    What an error costs on a part of an image stands for the whole; a pass takes a fraction of the time.
    """
    return [{name: _middle(array, sides.get(name, 0)) for name, array in batch.items()} for batch in batches]


def _middle(array: Array, side: int) -> Array:
    if not side:
        return array
    top, left = (max(0, (size - side) // 2) for size in array.shape[2:])
    return np.ascontiguousarray(array[:, :, top : top + side, left : left + side])
