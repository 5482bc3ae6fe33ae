"""A recorded run played again: a submodel that answers as it did, and tells how far it is fed something else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgepack.arrays import Array, Feeds, Outputs, Run

_LEAST = 1e-6  # of the values that a difference is told of


class Replayed:
    """The answers of recorded ``calls``, row by row, whichever rows a batch brings together.

    A row that is within ``close`` of a recorded one, of the largest value of each input, has its answer; where another
    is in a batch, ``original`` computes it. ``apart`` is the largest difference so far of rows that were answered.
    """

    def __init__(self, calls: Sequence[tuple[Feeds, Outputs]], original: Run, close: float) -> None:
        self._original, self._close = original, close
        self.apart = 0.0
        self._rows = [
            (_row(feeds, index), {name: value[index] for name, value in outputs.items()})
            for feeds, outputs in calls
            for index in range(_batch(feeds))
        ]

    def __call__(self, feeds: Mapping[str, Array], /) -> Outputs:
        """Return the answers to the recorded rows that are the closest to those of ``feeds``."""
        found = [self._nearest(_row(feeds, index)) for index in range(_batch(feeds))]
        apart = max(distance for distance, _ in found)
        if not apart <= self._close:
            return self._original(feeds)
        self.apart = max(self.apart, apart)
        return {name: np.stack([answer[name] for _, answer in found]) for name in found[0][1]}

    def _nearest(self, row: Feeds) -> tuple[float, Outputs]:
        """Return how far the closest recorded row is, infinitely where none has this one's shapes, and its answer."""
        return min(
            ((_apart(row, known), answer) for known, answer in self._rows),
            key=lambda found: found[0],
            default=(float("inf"), {}),
        )


def _batch(feeds: Mapping[str, Array]) -> int:
    return max(len(value) for value in feeds.values() if value.ndim)


def _row(feeds: Mapping[str, Array], index: int) -> Feeds:
    """Return one row of a batch; what has one row, or none as a timestep, is all rows'."""
    return {
        name: value[index if len(value) > 1 else 0] if value.ndim else np.asarray(value)
        for name, value in feeds.items()
    }


def _apart(row: Feeds, known: Feeds) -> float:
    if row.keys() != known.keys():
        return float("inf")
    return max(_difference(value, known[name]) for name, value in row.items())


def _difference(value: Array, true: Array) -> float:
    """Return the largest difference, of the largest value; another shape and NaN are infinitely far."""
    if value.shape != true.shape:
        return float("inf")
    apart = float(np.abs(value - true).max()) / max(float(np.abs(true).max()), _LEAST)
    return apart if np.isfinite(apart) else float("inf")
