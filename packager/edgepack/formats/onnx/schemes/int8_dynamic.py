"""int8 weights per channel; activations are rounded to 8 bits as they come (DynamicQuantizeMatMul)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from onnx import NodeProto

from edgepack.formats.onnx import compression
from edgepack.formats.onnx.graph import Array, Graph, contrib
from edgepack.formats.onnx.linears import Linear
from edgepack.formats.onnx.rounding import dynamic, per_channel
from edgepack.formats.onnx.smooth import factors
from edgepack.records import Coverage, Recipe


def quantize(model: Path, out: Path, recipe: Recipe, calibration: Sequence[Mapping[str, Array]]) -> Coverage:
    """Compress every linear layer and embedding table of ``model``."""

    def step(graph: Graph, linear: Linear, rows: Array | None) -> None:
        weight = graph.take(linear.weight)
        s = factors(rows, weight, lambda w: per_channel(w).restored(), dynamic) if rows is not None else None
        nodes, source = compression.scaled(graph, linear, s)
        stored = per_channel(weight if s is None else weight * s[:, None])
        graph.rewrite(linear.node, [*nodes, _product(graph, linear, source, stored.values, stored.scale)])

    return compression.run(model, out, recipe, calibration, step)


def _product(graph: Graph, linear: Linear, source: str, values: Array, scale: Array) -> NodeProto:
    name = linear.weight
    inputs = [source, graph.add(f"{name}_q8", values), graph.add(f"{name}_scale", scale)]
    return contrib("DynamicQuantizeMatMul", inputs, [linear.output])
