"""A layer of experts as operations. Core ML has none of its own: all experts compute, and the router's weights, 0 for
those that a token is not sent to, are multiplied into what they give before the last product adds them up.

A token so costs what a feed-forward layer as wide as all experts together costs. Routers are in float32.
"""

from __future__ import annotations

import numpy as np
from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  (as everybody calls it)

from edgepack.decoders.expert_weights import ExpertWeights
from edgepack.decoders.experts import NEAR_ZERO, Experts
from edgepack.decoders.matrix import Weight
from edgepack.decoders.stack import SideBySide, Stack
from edgepack.formats.coreml._mil import Var
from edgepack.formats.coreml.builder.activations import activated
from edgepack.formats.coreml.builder.weights import Weights

_NEVER = np.float32(-1e30)  # a score that no softmax sees


def products(found: ExpertWeights, layer: int) -> tuple[Weight, Weight]:
    """Return gates and ups of all experts below each other, and what they end with beside each other."""
    name, biases = found.experts.label(layer), found.biases(layer)
    inner = Stack(f"{name}.inner", found.gate_up(layer), None if biases is None else biases[0].ravel())
    return inner, SideBySide(f"{name}.down", found.down(layer))


def experts(x: Var, routed: Var, layer: int, found: ExpertWeights, weights: Weights) -> Var:
    """Return the weighed sum of the experts that are chosen for each token of ``x``, float32 [1, N, hidden].

    The router reads ``routed``, as ``x``.
    """
    e, name = found.experts, found.experts.label(layer)
    shares = _shares(_scores(routed, layer, found, weights), layer, found, weights)
    inner, outer = products(found, layer)
    made = weights.linear(mb.cast(x=x, dtype="fp16"), inner, inner.name)
    gate, up = mb.split(x=mb.reshape(x=made, shape=(1, -1, e.count, e.width, 2)), num_splits=2, axis=-1)
    gate, up = (mb.squeeze(x=part, axes=[-1]) for part in (gate, up))
    made = _gated(gate, up, e)
    weighed = mb.mul(x=made, y=mb.cast(x=mb.expand_dims(x=shares, axes=[-1]), dtype="fp16"))
    joined = mb.reshape(x=weighed, shape=(1, -1, e.count * e.width))
    mixed = mb.cast(x=weights.linear(joined, outer, outer.name), dtype="fp32")
    biases = found.biases(layer)
    if biases is None:
        return mixed
    return mb.add(x=mixed, y=mb.matmul(x=shares, y=weights.plain(f"{name}.down.bias", biases[1])))


def _gated(gate: Var, up: Var, e: Experts) -> Var:
    if e.activation != "silu":
        return mb.mul(x=activated(gate, e.activation), y=up)
    if e.limit:
        gate = mb.minimum(x=gate, y=np.float16(e.limit))
        up = mb.clip(x=up, alpha=np.float16(-e.limit), beta=np.float16(e.limit))
    if e.beta:
        up = mb.add(x=up, y=np.float16(e.beta))
    opened = gate if e.alpha == 1 else mb.mul(x=gate, y=np.float16(e.alpha))
    return mb.mul(x=mb.mul(x=gate, y=mb.sigmoid(x=opened)), y=up)


def _scores(x: Var, layer: int, found: ExpertWeights, weights: Weights) -> Var:
    """Return the router's scores, float32 [1, N, experts]."""
    router, name = found.router(layer), f"{found.experts.label(layer)}.router"
    matrix = weights.plain(f"{name}.weight", router.rows(0, router.shape[0]))
    scores = mb.matmul(x=x, y=matrix, transpose_y=True)
    return scores if router.bias is None else mb.add(x=scores, y=weights.plain(f"{name}.bias", router.bias))


def _shares(scores: Var, layer: int, found: ExpertWeights, weights: Weights) -> Var:
    """Return the weight of each expert, float32 [1, N, experts], 0 for those that are not chosen."""
    e = found.experts
    if e.routing == "sparsemixer":
        return _sparsemixer(scores, e.jitter)
    if e.routing == "sigmoid":
        return _sigmoid(mb.sigmoid(x=scores), layer, found, weights)
    if e.routing == "chosen":
        return mb.softmax(x=mb.select(cond=_chosen(scores, e), a=scores, b=_NEVER), axis=-1)
    return mb.mul(x=mb.softmax(x=scores, axis=-1), y=mb.cast(x=_chosen(scores, e), dtype="fp32"))


def _chosen(scores: Var, e: Experts) -> Var:
    """Return whether an expert's score is among the largest."""
    largest, _ = mb.topk(x=scores, k=e.chosen, axis=-1)
    return mb.greater_equal(x=scores, y=mb.reduce_min(x=largest, axes=[-1], keep_dims=True))


def _sigmoid(shares: Var, layer: int, found: ExpertWeights, weights: Weights) -> Var:
    """Choose by sigmoids and correction, and weigh by sigmoids alone (DeepSeek-AI 2024, equation 16)."""
    e, ranked, correction = found.experts, shares, found.correction(layer)
    if correction is not None:
        ranked = mb.add(x=shares, y=weights.plain(f"{e.label(layer)}.correction", correction))
    chosen = mb.mul(x=shares, y=mb.cast(x=_chosen(ranked, e), dtype="fp32"))
    if not e.normed:
        return chosen
    total = mb.reduce_sum(x=chosen, axes=[-1], keep_dims=True)
    return mb.real_div(x=chosen, y=mb.add(x=total, y=np.float32(NEAR_ZERO)))


def _sparsemixer(scores: Var, jitter: float) -> Var:
    """Choose one expert after the other, each weighed by softmax over those close to it (Liu et al. 2024, eq. 8)."""
    size, left, total = mb.abs(x=scores), scores, None
    for _ in range(2):
        most = mb.reduce_max(x=left, axes=[-1], keep_dims=True)
        chosen = mb.greater_equal(x=left, y=most)
        distance = mb.real_div(x=mb.sub(x=most, y=scores), y=mb.maximum(x=size, y=most))
        near = mb.select(cond=mb.greater(x=distance, y=np.float32(2 * jitter)), a=_NEVER, b=left)
        share = mb.mul(x=mb.softmax(x=near, axis=-1), y=mb.cast(x=chosen, dtype="fp32"))
        left = mb.select(cond=chosen, a=_NEVER, b=left)
        total = share if total is None else mb.add(x=total, y=share)
    return total
