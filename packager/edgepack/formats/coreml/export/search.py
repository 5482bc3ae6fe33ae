"""Which form for which weight: the least loss within a number of bytes.

A form's loss is what the model's output lost when that weight alone was coarse, times the ratio of the two errors
in the layer's own outputs; losses of several weights add up. The choice is the multiple-choice knapsack's, solved by
dynamic programming over the budget in ``_CELLS`` parts or more (Dudzinski & Walukiewicz 1987).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from edgepack.arrays import Array

F = TypeVar("F")

_CELLS, _EACH = 8192, 64  # of the budget, and for each weight at least


@dataclass(frozen=True)
class Option(Generic[F]):
    """A form that a weight could have."""

    form: F
    bytes: int
    loss: float


def choose(options: Mapping[str, Sequence[Option[F]]], budget: int) -> dict[str, F] | None:
    """Return a form for every weight, of ``budget`` bytes at most; None where even the smallest are more.

    Sizes are rounded up to cells, so that up to a cell for each weight may stay unused.
    """
    if budget < 0 or sum(min(option.bytes for option in some) for some in options.values()) > budget:
        return None
    cell = max(budget // max(_CELLS, _EACH * len(options)), 1)
    cells = budget // cell
    least, taken = np.zeros(cells + 1), list[Array]()  # the least loss of the weights so far, by cells used at most
    for some in options.values():
        tried = np.stack([_shifted(least, -(-option.bytes // cell)) + option.loss for option in some])
        taken.append(tried.argmin(axis=0).astype(np.uint8))
        least = tried.min(axis=0)
    if not np.isfinite(least[cells]):
        return {name: min(some, key=lambda option: option.bytes).form for name, some in options.items()}
    chosen: dict[str, F] = {}
    for (name, some), best in zip(reversed(list(options.items())), reversed(taken), strict=True):
        option = some[int(best[cells])]
        chosen[name] = option.form
        cells -= -(-option.bytes // cell)
    return chosen


def _shifted(least: Array, cells: int) -> Array:
    """Return what is possible where so many cells are taken off."""
    room = np.full(len(least), np.inf)
    if cells < len(least):
        room[cells:] = least[: len(least) - cells]
    return room
