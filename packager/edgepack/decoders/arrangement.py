"""Which stored row of q, k and v comes where: below each other, and every head's rotary pairs in halves.

Queries and keys are moved alike, so their products stay.
"""

from __future__ import annotations

import numpy as np

from edgepack.arrays import Array
from edgepack.decoders import Decoder

_QUARTERS = 4  # CodeGen's shards (Nijkamp et al. 2022)


def rows(decoder: Decoder) -> Array | None:
    """Return which stored row comes where, int64 [q_dim + 2 kv_dim], gates behind them; None where they lie as they are
    wanted.
    """
    d, inner = decoder, within(decoder)
    if d.packing == "rows" and inner is None:
        return None
    found = _unpacked(d).reshape(-1, d.head_dim)
    if inner is not None:
        found[: d.heads + d.kv_heads] = found[: d.heads + d.kv_heads, inner]
    return np.asarray(found.ravel())


def within(decoder: Decoder) -> Array | None:
    """Return which dimension of a query's or key's head comes where, int64 [head_dim]; None where none moves."""
    d = decoder
    if d.pairs == "halves" or d.rotary is None:
        return None
    places = np.arange(d.head_dim)
    turning, rest = places[: d.rotary.width], places[d.rotary.width :]
    pairs = turning.reshape(-1, 2).T if d.pairs == "neighbours" else turning.reshape(2, -1)[::-1]
    return np.asarray(np.concatenate([pairs.ravel(), rest]))


def _unpacked(d: Decoder) -> Array:
    every = np.arange(d.q_dim + 2 * d.kv_dim + d.gate_dim)
    if d.packing == "gated":
        by_head = every[: 2 * d.q_dim].reshape(d.heads, 2, d.head_dim)
        return np.concatenate([by_head[:, 0].ravel(), every[2 * d.q_dim :], by_head[:, 1].ravel()])
    if d.packing == "groups":  # the queries that share a key, the key, the value
        by_key = every.reshape(d.kv_heads, -1, d.head_dim)
        return np.concatenate([by_key[:, :-2].ravel(), by_key[:, -2].ravel(), by_key[:, -1].ravel()])
    if d.packing == "quarters":
        q, v, k = every.reshape(_QUARTERS, 3, -1).transpose(1, 0, 2)
        return np.concatenate([q.ravel(), k.ravel(), v.ravel()])
    return every
