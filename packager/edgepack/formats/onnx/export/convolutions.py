"""Convolutions as products in 8 bits: the windows of an image become rows, in u8.

ConvInteger would be the operator for it; onnxruntime computes it on one core, from windows that it gathers itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from onnx import NodeProto, helper

from edgepack.formats.onnx._graph import Graph, attributes
from edgepack.formats.onnx.export.products import Products, Rounded

FEWEST = 8  # channels; a convolution from or to fewer (an image's, a latent's) is small and stays float
IMAGE = 4  # dimensions of a kernel over images
_END = np.iinfo(np.int64).max
_CHANNELS_LAST, _CHANNELS_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]


@dataclass(frozen=True)
class Convolution:
    """``output = input * weight + bias`` over images [batch, channels, height, width]."""

    node: NodeProto
    weight: str
    shape: tuple[int, int, int, int]  # outputs, inputs, height, width
    bias: str
    pads: tuple[int, int, int, int]  # top, left, bottom, right
    strides: tuple[int, int]

    @property
    def plain(self) -> bool:
        """True if a window is a pixel."""
        return self.shape[2:] == (1, 1) and not any(self.pads) and self.strides == (1, 1)


def convolutions(graph: Graph) -> list[Convolution]:
    """Return those that ``rewrite`` can do: of two dimensions, neither grouped nor dilated, of enough channels."""
    found = (_read(graph, node) for node in graph.nodes if node.op_type == "Conv")
    return [convolution for convolution in found if convolution is not None]


def rewrite(graph: Graph, convolution: Convolution, products: Products) -> None:
    """Put the product in the convolution's place."""
    node = convolution.node
    outputs, *_ = convolution.shape
    kernel = graph.take(convolution.weight)
    matrix = np.ascontiguousarray(kernel.transpose(2, 3, 1, 0)).reshape(-1, outputs)
    stored = products.store(graph, convolution.weight, matrix, convolution.bias)
    rounded = products.rounded(graph, node.input[0])
    last, made = f"{node.output[0]}_last", f"{node.output[0]}_made"
    nodes = [helper.make_node("Transpose", [rounded.values], [last], name=last, perm=_CHANNELS_LAST)]
    rows = last
    if not convolution.plain:
        rows = f"{node.output[0]}_windows"
        nodes += _windows(graph, convolution, last, rounded, rows)
    nodes += products.of(graph, rows, rounded, stored, made)
    nodes.append(helper.make_node("Transpose", [made], [node.output[0]], name=node.output[0], perm=_CHANNELS_FIRST))
    graph.rewrite(node, nodes)


def _windows(graph: Graph, convolution: Convolution, image: str, rounded: Rounded, out: str) -> list[NodeProto]:
    """Return the nodes that gather the windows of ``image`` [b, h, w, c] as ``out`` [b, h', w', height width c]."""
    _, _, height, width = convolution.shape
    nodes, padded = [], image
    if any(convolution.pads):
        top, left, bottom, right = convolution.pads
        padded = f"{out}_padded"
        pads = _integers(graph, (0, top, left, 0, 0, bottom, right, 0))
        nodes.append(helper.make_node("Pad", [image, pads, rounded.zero], [padded], name=padded))
    axes, steps = _integers(graph, (1, 2)), _integers(graph, convolution.strides)
    parts = []
    for y, x in product(range(height), range(width)):
        ends = [place - size + 1 or _END for place, size in ((y, height), (x, width))]
        part = f"{out}_{y}_{x}"
        inputs = [padded, _integers(graph, (y, x)), _integers(graph, ends), axes, steps]
        nodes.append(helper.make_node("Slice", inputs, [part], name=part))
        parts.append(part)
    return [*nodes, helper.make_node("Concat", parts, [out], name=out, axis=3)]


def is_small(graph: Graph, node: NodeProto) -> bool:
    """Return whether a convolution is from or to so few channels that it stays float."""
    shape = graph.shape(node.input[1]) or ()
    return len(shape) == IMAGE and attributes(node).get("group", 1) == 1 and min(shape[:2]) < FEWEST


def _read(graph: Graph, node: NodeProto) -> Convolution | None:
    weight, shape, facts = node.input[1], graph.shape(node.input[1]), attributes(node)
    bias = node.input[2] if len(node.input) > 2 else ""
    if shape is None or len(shape) != IMAGE or not graph.is_float(weight) or (bias and graph.shape(bias) is None):
        return None
    plain = facts.get("group", 1) == 1 and set(facts.get("dilations", [1])) == {1}
    if not plain or facts.get("auto_pad", b"NOTSET") != b"NOTSET" or is_small(graph, node):
        return None
    pads, strides = facts.get("pads", [0] * 4), facts.get("strides", [1] * 2)
    outputs, inputs, height, width = shape
    return Convolution(node, weight, (outputs, inputs, height, width), bias, tuple(pads), tuple(strides))


def _integers(graph: Graph, values: Sequence[int]) -> str:
    """Hold an int64 constant; equal ones once."""
    name = "int64_" + "_".join("end" if value == _END else str(value).replace("-", "m") for value in values)
    return graph.add(name, np.array(values, np.int64))
