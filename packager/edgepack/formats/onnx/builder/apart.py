"""Experts whose activation ONNX Runtime's operators of experts lack: products for each expert, over its own tokens.

The tokens are laid in the order of the experts that they are sent to and divided among them. A product of no tokens
ends before its weight is read.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgepack.decoders.expert_weights import ExpertWeights
from edgepack.decoders.experts import Experts
from edgepack.decoders.matrix import Weight
from edgepack.decoders.stack import Stack
from edgepack.formats.onnx.builder.activations import activated
from edgepack.formats.onnx.builder.builder import Builder
from edgepack.formats.onnx.builder.weights import Weights
from edgepack.formats.onnx.builder.writer import Rounded


def apart(x: ir.Value, scores: ir.Value, layer: int, found: ExpertWeights, weights: Weights) -> ir.Value:
    """Return the weighed sum of the experts that are chosen for each token of ``x`` [batch, new, hidden].

    ``scores`` [batch, new, experts] are the router's; weights are a softmax over the largest of them.
    """
    g, e, name = weights.g, found.experts, found.experts.label(layer)
    flat = g.op("Reshape", x, g.constant(f"by_{found.hidden}", _ints(-1, found.hidden)), name=f"{name}.flat")
    scores = g.op("Reshape", scores, g.constant(f"by_{e.count}", _ints(-1, e.count)), name=f"{name}.scores")
    count = g.constant(f"vector_{e.chosen}", _ints(e.chosen))
    largest, places = g.ops("TopK", scores, count, names=(f"{name}.largest", f"{name}.places"), axis=-1)
    sent = _sent(g, scores, places, name)
    tokens = g.op("Gather", g.op("NonZero", sent, name=f"{name}.pairs"), g.constant("one_int64", np.array(1)),
                  name=f"{name}.tokens", axis=0)  # fmt: skip
    sizes = g.op("ReduceSum", sent, g.constant("vector_1", _ints(1)), name=f"{name}.sizes", keepdims=0)
    rows = g.op("Gather", flat, tokens, name=f"{name}.rows", axis=0)
    inner, outer = Stack(f"{name}.inner", found.gate_up(layer)), Stack(f"{name}.down", found.down(layer))
    written = weights.writer.experts(inner, outer)
    made = _products(weights, rows, sizes, inner, written[0], e)
    made = _products(weights, _gated(g, made, e, name), sizes, outer, written[1], e)
    mine = g.op("Gather", made, _rank(g, sent, places, e, name), name=f"{name}.by_token", axis=0)
    shares = g.op("Softmax", largest, name=f"{name}.shares", axis=-1)
    column = g.op("Unsqueeze", shares, g.constant("axis_last", _ints(-1)), name=f"{name}.column")
    weighed = g.op("Mul", mine, column, name=f"{name}.weighed")
    summed = g.op("ReduceSum", weighed, g.constant("vector_1", _ints(1)), name=f"{name}.summed", keepdims=0)
    return g.op("Reshape", summed, g.op("Shape", x, name=f"{name}.shape"), name=f"{name}.mixed")


def _sent(g: Builder, scores: ir.Value, places: ir.Value, name: str) -> ir.Value:
    """Return 1 where a token is sent to an expert, else 0, int64 [experts, tokens]."""
    zero, one = (g.constant(f"{word}_int64", np.array(value)) for word, value in (("zero", 0), ("one", 1)))
    nobody = g.op("Expand", zero, g.op("Shape", scores, name=f"{name}.pairs_shape"), name=f"{name}.nobody")
    ones = g.op("Expand", one, g.op("Shape", places, name=f"{name}.places_shape"), name=f"{name}.ones")
    marked = g.op("ScatterElements", nobody, places, ones, name=f"{name}.marked", axis=-1)
    return g.op("Transpose", marked, name=f"{name}.sent", perm=[1, 0])


def _rank(g: Builder, sent: ir.Value, places: ir.Value, e: Experts, name: str) -> ir.Value:
    """Return which row of all experts' results is that of a token's expert, int64 [tokens, chosen]."""
    joined = g.op("Reshape", sent, g.constant("to_vector", _ints(-1)), name=f"{name}.sent_joined")
    counted = g.op("CumSum", joined, g.constant("zero_int64", np.array(0)), name=f"{name}.counted", exclusive=1)
    by_expert = g.op("Reshape", counted, g.constant(f"of_{e.count}", _ints(e.count, -1)), name=f"{name}.ranks")
    by_token = g.op("Transpose", by_expert, name=f"{name}.ranks_by_token", perm=[1, 0])
    return g.op("GatherElements", by_token, places, name=f"{name}.rank", axis=-1)


def _products(
    weights: Weights, rows: ir.Value, sizes: ir.Value, matrix: Weight, written: Rounded | ir.ExternalTensor, e: Experts
) -> ir.Value:
    """Return each expert's product of its ``sizes`` of ``rows``, below each other."""
    names = tuple(f"{matrix.name}.{expert}" for expert in range(e.count))
    parts = weights.g.ops("Split", rows, sizes, names=tuple(f"{name}.rows" for name in names), axis=0)
    made = [
        weights.member(part, written, e.count, expert, name)
        for expert, (part, name) in enumerate(zip(parts, names, strict=True))
    ]
    return weights.g.op("Concat", *made, name=f"{matrix.name}.all", axis=0)


def _gated(g: Builder, made: ir.Value, e: Experts, name: str) -> ir.Value:
    """Return [rows, width] of gates and ups by turns [rows, 2 width]."""
    pairs = g.op("Reshape", made, g.constant(f"pairs_{e.width}", _ints(-1, e.width, 2)), name=f"{name}.turns")
    gate, up = (
        g.op("Gather", pairs, g.constant(f"{word}_int64", np.array(place)), name=f"{name}.{part}", axis=2)
        for word, place, part in (("zero", 0, "gate"), ("one", 1, "up"))
    )
    return g.op("Mul", activated(g, gate, e.activation, f"{name}.activated"), up, name=f"{name}.gated")


def _ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)
