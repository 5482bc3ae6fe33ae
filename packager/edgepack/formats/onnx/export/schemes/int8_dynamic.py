"""int8 weights per channel; activations are rounded to 8 bits as they come (DynamicQuantizeMatMul).

Each activation is balanced first (see balance.py), as far as calibration shows that it pays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from onnx import NodeProto, helper

from edgepack.arrays import Array
from edgepack.formats.onnx._graph import Graph, contrib
from edgepack.formats.onnx.export import compression
from edgepack.formats.onnx.export.balance import Balance, choose
from edgepack.formats.onnx.export.linears import Linear
from edgepack.quantization.rounding import per_channel
from edgepack.records import Coverage, Recipe

_ABOVE = {"Gelu", "BiasGelu", "FastGelu", "QuickGelu", "Relu", "Sigmoid"}  # give nothing below -0.2
_LEAST = 1e-6  # the size of a token of zeros, so that it stays zeros


def quantize(model: Path, out: Path, recipe: Recipe, calibration: Sequence[Mapping[str, Array]]) -> Coverage:
    """Compress every linear layer and embedding table of ``model``."""

    def step(graph: Graph, linear: Linear, rows: Array | None) -> None:
        weight = graph.take(linear.weight)
        balance = choose(rows, weight) if rows is not None else Balance()
        nodes, source = compression.scaled(graph, linear, balance.channels)
        stored = per_channel(weight if balance.channels is None else weight * balance.channels[:, None])
        values = (
            graph.add(f"{linear.weight}_q8", stored.values),
            graph.add(f"{linear.weight}_scale", stored.scale),
        )
        product = _by_token if balance.tokens else _product
        graph.rewrite(linear.node, [*nodes, *product(graph, linear, source, values)])

    return compression.run(model, out, recipe, calibration, step)


def _product(graph: Graph, linear: Linear, source: str, weight: tuple[str, str]) -> list[NodeProto]:
    return [contrib("DynamicQuantizeMatMul", [source, *weight], [linear.output])]


def _by_token(graph: Graph, linear: Linear, source: str, weight: tuple[str, str]) -> list[NodeProto]:
    """Return the product of tokens of size 1, made as large again: (x / size) W size, where size is max|x| of a
    token.
    """
    size, unit, product = (f"{linear.output}_{part}" for part in ("size", "unit", "product"))
    least = graph.add("least_size", np.array(_LEAST, np.float32))
    return [
        *_largest(graph, source, f"{size}_largest", linear.input),
        helper.make_node("Max", [f"{size}_largest", least], [size], name=size),
        helper.make_node("Div", [source, size], [unit], name=unit),
        contrib("DynamicQuantizeMatMul", [unit, *weight], [product]),
        helper.make_node("Mul", [product, size], [linear.output], name=linear.output),
    ]


def _largest(graph: Graph, source: str, out: str, origin: str) -> list[NodeProto]:
    """Return the largest absolute value of each token; after a GELU the largest value is that, or small enough."""
    above = any(origin in node.output and node.op_type in _ABOVE for node in graph.nodes)
    nodes = [] if above else [helper.make_node("Abs", [source], [f"{out}_of"], name=f"{out}_of")]
    values = source if above else f"{out}_of"
    if graph.opset < 18:
        return [*nodes, helper.make_node("ReduceMax", [values], [out], name=out, axes=[-1])]
    axes = graph.add("last_axis", np.array([-1], np.int64))
    return [*nodes, helper.make_node("ReduceMax", [values, axes], [out], name=out)]
