"""The slopes of ALiBi's heads (Press et al. 2022): a geometric series, and how it goes on where they are not 2^n."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgepack.arrays import Array

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


def by_place(each: Sequence[float], head: int, context: int) -> Array:
    """Return Falcon's bias of the key at each place, float32 [heads, context], for heads of so many dimensions.

    Slopes, places and their products are rounded to bfloat16, as transformers' build_alibi_tensor does; so biases of
    one distance are not all the same.
    """
    places = _bfloat16(np.arange(context, dtype=np.float32))
    return _bfloat16(_bfloat16(np.array(each, np.float32))[:, None] * places) / np.float32(math.sqrt(head))


def _bfloat16(values: Array) -> Array:
    """Return float32 numbers rounded to the nearest bfloat16, to the even one of two."""
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).astype(np.uint32).view(np.float32)
