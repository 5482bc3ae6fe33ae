"""The slopes of ALiBi's heads (Press et al. 2022): a geometric series, and how it goes on where they are not 2^n."""

from __future__ import annotations

import math

_LAST = 8  # the last of 2^n heads has the slope 2^-8


def slopes(heads: int) -> tuple[float, ...]:
    """Return the paper's: those of the next smaller 2^n, then every other one of twice as many."""
    whole = 2 ** math.floor(math.log2(heads))
    more = _series(2 * whole)[::2]
    return _series(whole) + more[: heads - whole]


def evenly(heads: int) -> tuple[float, ...]:
    """Return MPT's: of the next larger 2^n every other one, then the rest."""
    series = _series(2 ** math.ceil(math.log2(heads)))
    return series if len(series) == heads else (series[1::2] + series[::2])[:heads]


def _series(heads: int) -> tuple[float, ...]:
    return tuple(2.0 ** (-_LAST * (place + 1) / heads) for place in range(heads))
