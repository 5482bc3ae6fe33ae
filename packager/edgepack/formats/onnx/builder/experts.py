"""A layer of experts as a node: com.microsoft's QMoE for weights in blocks, and MoE for floats.

Both read the weights of the experts that a token is sent to, and no others'. Their router is a softmax over the scores
of those that are chosen, and QMoE has no other (normalize_routing_weights=0 changes nothing in ONNX Runtime 1.32): of
another routing they get the logarithms of its weights, and what they give is multiplied by the sum of them.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgepack.decoders.expert_weights import ExpertWeights, SharedWeights
from edgepack.decoders.experts import NEAR_ZERO, Experts
from edgepack.decoders.stack import Stack
from edgepack.documents import JsonDict
from edgepack.formats.onnx._graph import CONTRIB
from edgepack.formats.onnx.builder.activations import activated
from edgepack.formats.onnx.builder.apart import apart
from edgepack.formats.onnx.builder.weights import Weights
from edgepack.formats.onnx.builder.writer import Rounded

_NEVER = np.float32(-1e30)  # a score that no softmax sees
_ACCURACY_LEVEL = 4  # as of MatMulNBits


def fused(found: Experts) -> bool:
    """Return whether ONNX Runtime's operators can compute experts: of gated activations they have silu alone."""
    return found.activation == "silu"


def experts(x: ir.Value, routed: ir.Value, layer: int, found: ExpertWeights, weights: Weights) -> ir.Value:
    """Return the weighed sum of the experts that are chosen for each token of ``x`` [batch, new, hidden].

    The router reads ``routed``, of the same shape.
    """
    g, e, name = weights.g, found.experts, found.experts.label(layer)
    scores = weights.linear(routed, found.router(layer), f"{name}.router", whole=True)
    if not fused(e):
        return apart(x, scores, layer, found, weights)
    scores, factor = _routed(weights, scores, found, layer)
    flat = g.op("Reshape", scores, g.constant(f"by_{e.count}", np.array([-1, e.count], np.int64)), name=f"{name}.flat")
    inner = Stack(f"{name}.inner", found.gate_up(layer))
    outer = Stack(f"{name}.down", found.down(layer))
    written = weights.writer.experts(inner, outer)
    biases = found.biases(layer)
    added: list[ir.Value | None] = [None, None]
    if biases is not None:
        parts = zip(("inner", "down"), biases, strict=True)
        added = [weights.plain(f"{name}.{part}.bias", bias) for part, bias in parts]
    inputs: list[ir.Value | None] = []
    attributes: JsonDict = {"k": e.chosen, "activation_type": "swiglu", "swiglu_fusion": 1}
    attributes |= {"normalize_routing_weights": 1, "activation_alpha": e.alpha, "activation_beta": e.beta}
    if e.limit:
        attributes["swiglu_limit"] = e.limit
    for matrix, one, bias in zip((inner, outer), written, added, strict=True):
        if isinstance(one, Rounded):
            inputs += [*weights.rounded_members(one, matrix, e.count), bias]
            attributes |= {"expert_weight_bits": one.bits, "block_size": one.size, "accuracy_level": _ACCURACY_LEVEL}
        else:
            inputs += [weights.float_members(one, matrix, e.count), bias]
    while inputs[-1] is None:
        inputs.pop()
    kind = "QMoE" if "block_size" in attributes else "MoE"
    mixed = g.op(kind, x, flat, *inputs, name=f"{name}.mixed", domain=CONTRIB, **attributes)
    mixed = mixed if factor is None else g.op("Mul", mixed, factor, name=f"{name}.weighed")
    shared = found.shared(layer)
    return mixed if shared is None else g.op("Add", mixed, _shared(x, shared, weights, name), name=f"{name}.experts")


def _shared(x: ir.Value, found: SharedWeights, weights: Weights, name: str) -> ir.Value:
    """Return what the expert of every token gives, times its share."""
    g, width = weights.g, found.gate_up.shape[0] // 2
    made = weights.linear(x, found.gate_up, f"{name}.shared.inner")
    sizes = g.constant(f"shared_sizes_{width}", np.array([width, width], np.int64))
    gate, up = g.ops("Split", made, sizes, names=(f"{name}.shared.gate", f"{name}.shared.up"), axis=-1)
    gated = g.op("Mul", activated(g, gate, "silu", f"{name}.shared.activated"), up, name=f"{name}.shared.gated")
    share = g.op("Sigmoid", weights.linear(x, found.share, f"{name}.shared.router", whole=True),
                 name=f"{name}.shared.share")  # fmt: skip
    return g.op("Mul", weights.linear(gated, found.down, f"{name}.shared.down"), share, name=f"{name}.shared.weighed")


def _routed(weights: Weights, scores: ir.Value, found: ExpertWeights, layer: int) -> tuple[ir.Value, ir.Value | None]:
    """Return the scores that the operator takes, and a factor [batch, new, 1] of its result."""
    e, name = found.experts, found.experts.label(layer)
    if e.routing == "sparsemixer":
        return _sparsemixer(weights, scores, e, name)
    if e.routing == "chosen":
        return scores, None
    if e.routing == "sigmoid":
        return _sigmoid(weights, scores, found, layer)
    g = weights.g
    shares = g.op("Softmax", scores, name=f"{name}.shares", axis=-1)
    largest, _ = _largest(weights, shares, e, name)
    return scores, _sum(weights, largest, f"{name}.factor")


def _sigmoid(weights: Weights, scores: ir.Value, found: ExpertWeights, layer: int) -> tuple[ir.Value, ir.Value]:
    """Choose by sigmoids and correction, and weigh by sigmoids alone (DeepSeek-AI 2024, equation 16)."""
    g, e, name, correction = weights.g, found.experts, found.experts.label(layer), found.correction(layer)
    shares = ranked = g.op("Sigmoid", scores, name=f"{name}.shares")
    if correction is not None:
        ranked = g.op("Add", shares, weights.plain(f"{name}.correction", correction), name=f"{name}.ranked")
    _, places = _largest(weights, ranked, e, name)
    negative = g.op("Neg", scores, name=f"{name}.negative")
    logs = g.op("Neg", g.op("Softplus", negative, name=f"{name}.softplus"), name=f"{name}.logs")
    chosen, logs = (
        g.op("GatherElements", part, places, name=f"{part.name}.chosen", axis=-1) for part in (shares, logs)
    )
    never = g.constant("never", np.array(_NEVER, np.float32))
    others = g.op("Expand", never, g.op("Shape", scores, name=f"{name}.shape"), name=f"{name}.others")
    wanted = g.op("ScatterElements", others, places, logs, name=f"{name}.wanted", axis=-1)
    total = _sum(weights, chosen, f"{name}.total")
    if not e.normed:
        return wanted, total
    more = g.op("Add", total, g.constant("near_zero", np.array(NEAR_ZERO, np.float32)), name=f"{name}.more")
    return wanted, g.op("Div", total, more, name=f"{name}.factor")


def _largest(weights: Weights, scores: ir.Value, e: Experts, name: str) -> tuple[ir.Value, ...]:
    """Return the largest scores and their experts, [batch, new, chosen] each."""
    count = weights.g.constant(f"vector_{e.chosen}", np.array([e.chosen], np.int64))
    return weights.g.ops("TopK", scores, count, names=(f"{name}.largest", f"{name}.places"), axis=-1)


def _sum(weights: Weights, shares: ir.Value, name: str) -> ir.Value:
    return weights.g.op("ReduceSum", shares, _last(weights), name=name, keepdims=1)


def _sparsemixer(weights: Weights, scores: ir.Value, e: Experts, name: str) -> tuple[ir.Value, ir.Value]:
    """Choose one expert after the other, each weighed by softmax over those close to it (Liu et al. 2024, eq. 8)."""
    g = weights.g
    never = g.constant("never", np.array(_NEVER, np.float32))
    close = g.constant(f"within_{e.jitter}", np.array(2 * e.jitter, np.float32))
    numbers = g.constant(f"numbers_{e.count}", np.arange(e.count, dtype=np.int64))
    one = g.constant("vector_1", np.array([1], np.int64))
    size = g.op("Abs", scores, name=f"{name}.sizes")
    left, wanted, total = scores, None, None
    for step in ("first", "second"):
        at = f"{name}.{step}"
        most, place = g.ops("TopK", left, one, names=(f"{at}.score", f"{at}.place"), axis=-1)
        far = g.op("Div", g.op("Sub", most, scores, name=f"{at}.below"), g.op("Max", size, most, name=f"{at}.scale"),
                   name=f"{at}.distance")  # fmt: skip
        hidden = g.op("Where", g.op("Greater", far, close, name=f"{at}.far"), never, left, name=f"{at}.near")
        shares = g.op("Softmax", hidden, name=f"{at}.shares", axis=-1)
        share, _ = g.ops("TopK", shares, one, names=(f"{at}.share", f"{at}.share_place"), axis=-1)
        chosen = g.op("Equal", numbers, place, name=f"{at}.chosen")
        left = g.op("Where", chosen, never, left, name=f"{at}.left")
        wanted = g.op("Where", chosen, g.op("Log", share, name=f"{at}.log"), never if wanted is None else wanted,
                      name=f"{at}.wanted")  # fmt: skip
        total = share if total is None else g.op("Add", total, share, name=f"{name}.factor")
    assert wanted is not None
    assert total is not None
    return wanted, total


def _last(weights: Weights) -> ir.Value:
    return weights.g.constant("axis_last", np.array([-1]))
