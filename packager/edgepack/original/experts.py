"""A layer of experts in numpy: the router's choice, and the few experts that it names for each token."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgepack.arrays import Array
from edgepack.decoders.expert_weights import ExpertWeights
from edgepack.decoders.experts import Experts
from edgepack.decoders.matrix import Weight
from edgepack.runtime.labels import softmax

Product = Callable[[Array, Weight], Array]


def mixed(x: Array, layer: int, weights: ExpertWeights, product: Product) -> Array:
    """Return the weighed sum of the experts that are chosen for each token of ``x`` float32 [batch, tokens, hidden].

    Experts that no token chooses are not read.
    """
    experts, flat = weights.experts, x.reshape(-1, x.shape[-1])
    places, shares = routed(experts, product(flat, weights.router(layer)))
    inner, outer, biases = weights.gate_up(layer), weights.down(layer), weights.biases(layer)
    out = np.zeros_like(flat)
    for expert in np.unique(places):
        tokens, rank = np.nonzero(places == expert)
        made = product(flat[tokens], inner[expert])
        made = made if biases is None else made + biases[0][expert]
        made = product(_gated(made, experts), outer[expert])
        made = made if biases is None else made + biases[1][expert]
        out[tokens] += made * shares[tokens, rank, None]
    return out.reshape(x.shape)


def routed(experts: Experts, scores: Array) -> tuple[Array, Array]:
    """Return the experts of each token, int64 [tokens, chosen], and their weights, float32.

    ``scores`` are the router's, float32 [tokens, experts].
    """
    if experts.routing == "sparsemixer":
        return _sparsemixer(scores, experts.jitter)
    places = np.argsort(-scores, axis=-1, kind="stable")[:, : experts.chosen]
    if experts.routing == "all":
        return places, np.take_along_axis(softmax(scores, np.float32), places, axis=-1)
    return places, softmax(np.take_along_axis(scores, places, axis=-1), np.float32)


def _sparsemixer(scores: Array, jitter: float) -> tuple[Array, Array]:
    """Choose one expert after the other, each weighed by softmax over those close to it (Liu et al. 2024, eq. 8)."""
    left, places, shares = scores.copy(), [], []
    for _ in range(2):
        place = left.argmax(axis=-1, keepdims=True)
        most = np.take_along_axis(left, place, axis=-1)
        far = (most - scores) / np.maximum(np.abs(scores), most) > 2 * jitter
        near = softmax(np.where(far, -np.inf, left), np.float32)
        places.append(place)
        shares.append(np.take_along_axis(near, place, axis=-1))
        np.put_along_axis(left, place, -np.inf, axis=-1)
    return np.concatenate(places, axis=-1), np.concatenate(shares, axis=-1)


def _gated(made: Array, experts: Experts) -> Array:
    """Return [tokens, width] of gates and ups by turns [tokens, 2 width]."""
    gate, up = made[:, 0::2], made[:, 1::2]
    if experts.limit:
        gate, up = np.minimum(gate, experts.limit), np.clip(up, -experts.limit, experts.limit)
    sigmoid = 0.5 * (1 + np.tanh(np.float32(0.5 * experts.alpha) * gate))
    return np.asarray(gate * sigmoid * (up + np.float32(experts.beta)))
