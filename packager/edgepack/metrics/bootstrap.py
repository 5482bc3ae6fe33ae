"""How sure is a difference? The paired bootstrap (Efron & Tibshirani 1993, chapter 13)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

RESAMPLES = 1000
P = TypeVar("P")  # a prediction
T = TypeVar("T")  # its truth


def difference(
    metric: Callable[[Sequence[P], Sequence[T]], float],
    original: Sequence[P],
    compressed: Sequence[P],
    references: Sequence[T],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Return the 95 % percentile interval of metric(compressed) - metric(original); None where a resample has no such
    figure.

    Each resample draws the same samples for both models, so what the data set owes to luck cancels.
    """
    rng = np.random.default_rng(seed)
    size = len(references)
    changes = []
    for _ in range(resamples):
        chosen = rng.integers(0, size, size)
        truth = [references[i] for i in chosen]
        changes.append(metric([compressed[i] for i in chosen], truth) - metric([original[i] for i in chosen], truth))
    if not np.isfinite(changes).all():
        return None
    low, high = np.percentile(changes, [2.5, 97.5])
    return float(low), float(high)
