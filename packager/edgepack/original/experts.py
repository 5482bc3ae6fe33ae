"""A layer of experts in numpy: the router's choice, and the few experts that it names for each token."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgepack.arrays import Array
from edgepack.decoders.expert_weights import ExpertWeights
from edgepack.decoders.experts import NEAR_ZERO, Experts
from edgepack.decoders.matrix import Weight
from edgepack.original.activations import ACTIVATIONS, sigmoid
from edgepack.runtime.labels import softmax

Product = Callable[[Array, Weight], Array]
Watch = Callable[[str, Array], None]


def mixed(x: Array, routed_by: Array, layer: int, weights: ExpertWeights, product: Product, watch: Watch) -> Array:
    """Return the weighed sum of the experts that are chosen for each token of ``x`` float32 [batch, tokens, hidden].

    The router reads ``routed_by``, of the same shape. Experts that no token chooses are not read. ``watch`` is told
    what enters the products of the expert that every token passes through.
    """
    experts, flat = weights.experts, x.reshape(-1, x.shape[-1])
    scores = product(routed_by.reshape(flat.shape), weights.router(layer))
    places, shares = routed(experts, scores, weights.correction(layer))
    inner, outer, biases = weights.gate_up(layer), weights.down(layer), weights.biases(layer)
    out = np.zeros_like(flat)
    for expert in np.unique(places):
        tokens, rank = np.nonzero(places == expert)
        made = product(flat[tokens], inner[expert])
        made = made if biases is None else made + biases[0][expert]
        made = product(_gated(made, experts), outer[expert])
        made = made if biases is None else made + biases[1][expert]
        out[tokens] += made * shares[tokens, rank, None]
    shared = weights.shared(layer)
    if shared:
        watch(f"{experts.label(layer)}.shared.inner", x)
        gate, up = np.split(product(flat, shared.gate_up), 2, axis=-1)
        made = ACTIVATIONS["silu"](gate) * up
        watch(f"{experts.label(layer)}.shared.down", made.reshape(*x.shape[:2], -1))
        out += product(made, shared.down) * sigmoid(product(flat, shared.share))
    return out.reshape(x.shape)


def routed(experts: Experts, scores: Array, correction: Array | None = None) -> tuple[Array, Array]:
    """Return the experts of each token, int64 [tokens, chosen], and their weights, float32.

    ``scores`` are the router's, float32 [tokens, experts]; ``correction`` [experts] counts where experts are chosen.
    """
    if experts.routing == "sparsemixer":
        return _sparsemixer(scores, experts.jitter)
    if experts.routing == "sigmoid":
        return _sigmoid(experts, sigmoid(scores), correction)
    places = _largest(scores, experts.chosen)
    if experts.routing == "all":
        return places, np.take_along_axis(softmax(scores, np.float32), places, axis=-1)
    return places, softmax(np.take_along_axis(scores, places, axis=-1), np.float32)


def _largest(scores: Array, count: int) -> Array:
    return np.argsort(-scores, axis=-1, kind="stable")[:, :count]


def _sigmoid(experts: Experts, shares: Array, correction: Array | None) -> tuple[Array, Array]:
    """Choose by shares and correction, and weigh by shares alone (DeepSeek-AI 2024, equation 16)."""
    places = _largest(shares if correction is None else shares + correction, experts.chosen)
    chosen = np.take_along_axis(shares, places, axis=-1)
    total = chosen.sum(axis=-1, keepdims=True) + np.float32(NEAR_ZERO) if experts.normed else np.float32(1)
    return places, np.asarray(chosen / total)


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
    if experts.activation != "silu":
        return np.asarray(ACTIVATIONS[experts.activation](gate) * up)
    if experts.limit:
        gate, up = np.minimum(gate, experts.limit), np.clip(up, -experts.limit, experts.limit)
    sigmoid = 0.5 * (1 + np.tanh(np.float32(0.5 * experts.alpha) * gate))
    return np.asarray(gate * sigmoid * (up + np.float32(experts.beta)))
