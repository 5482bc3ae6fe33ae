"""The walk that weight-compressing schemes share: normalise, look at activations, compress layer by layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from onnx import NodeProto, helper

from edgepack.arrays import Array
from edgepack.formats.onnx._graph import Graph
from edgepack.formats.onnx.export import activations
from edgepack.formats.onnx.export.convolutions import FEWEST, IMAGE
from edgepack.formats.onnx.export.embeddings import compress, tables
from edgepack.formats.onnx.export.kernels import store_all
from edgepack.formats.onnx.export.linears import Linear, linears, normalise
from edgepack.quantization.components import component
from edgepack.records import Coverage, Recipe, Skipped

Step = Callable[[Graph, Linear, Array | None], None]
_SMALLEST = 256  # values; a smaller weight is a bias or a norm, not worth a scale


def run(
    model: Path,
    out: Path,
    recipe: Recipe,
    calibration: Sequence[Mapping[str, Array]],
    step: Step,
    convolve: Callable[[Graph], None] = store_all,
    *,
    data: Path | None = None,
) -> Coverage:
    """Compress ``model`` to ``out``: ``step`` rewrites one linear layer, given a sample of what enters it.

    ``convolve`` rewrites the convolutions. The weights go to ``data`` beside ``out`` if it is given. The coverage
    counts every weight that is no vector; what was left, and why, is listed.
    """
    graph = Graph(model)
    normalise(graph)
    found = linears(graph)
    samples = _samples(model, found, recipe, calibration)
    total = _matrices(graph)
    layers = Counter(linear.weight for linear in found)
    for linear in found:
        # layers that share a weight (ALBERT's do) meet other activations: nothing of one may go into the weight
        alone = layers[linear.weight] == 1
        step(graph, linear, samples.get(linear.input) if alone else None)
    samples.clear()  # of the size of a layer each
    convolve(graph)
    for table in tables(graph):
        compress(graph, table, 8 if "embedding" in recipe.finer else recipe.embedding_bits)
    left = sorted(total.keys() & _matrices(graph).keys())
    skipped = tuple(Skipped(tensor=name, reason=_reason(graph, name)) for name in left)
    graph.save(out, data)
    return Coverage(
        compressed=sum(total.values()) - sum(total[name] for name in left),
        total=sum(total.values()),
        skipped=skipped,
    )


def scaled(graph: Graph, linear: Linear, s: Array | None) -> tuple[list[NodeProto], str]:
    """Return the node that divides a layer's input by ``s``, and the name of the result."""
    if s is None:
        return [], linear.input
    factor = graph.add(f"{linear.weight}_smooth", (1 / s).astype(np.float32))
    name = f"{linear.output}_smoothed"
    return [helper.make_node("Mul", [linear.input, factor], [name], name=name)], name


def _samples(
    model: Path, found: list[Linear], recipe: Recipe, calibration: Sequence[Mapping[str, Array]]
) -> dict[str, Array]:
    if not found or not calibration or not (recipe.smooth or recipe.weight_bits < 8):
        return {}
    return activations.collect(model, {linear.input for linear in found}, calibration)


def _matrices(graph: Graph) -> dict[str, int]:
    """Return the float weights that are no vectors, with their number of values."""
    used = {name for node in graph.nodes for name in node.input}
    shapes = {name: graph.shape(name) for name in sorted(used) if graph.is_float(name)}
    sizes = {name: int(np.prod(shape)) for name, shape in shapes.items() if shape and max(shape) < np.prod(shape)}
    return {name: size for name, size in sizes.items() if size >= _SMALLEST}


def _reason(graph: Graph, name: str) -> str:
    shape = graph.shape(name) or ()
    if len(shape) == IMAGE and min(shape[:2]) < FEWEST:
        return "a convolution of few channels"
    kinds = sorted({node.op_type for node in graph.nodes if name in node.input})
    if component(name) == "embedding":
        return "a small embedding table"
    return f"used by {' and '.join(kinds)}, which has no compressed form"
