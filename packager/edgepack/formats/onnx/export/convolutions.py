"""Convolutions as products in 8 bits: the windows of an image become rows, in u8.

ConvInteger would be the operator for it; onnxruntime computes it on one core, from windows that it gathers itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    """Put in the convolution's place a product for each row of its kernel, of which it is the sum.

    A product with the whole kernel would need whole windows: three times the memory for three rows, and it is here that
    a UNet takes most.
    """
    node = convolution.node
    outputs, _, height, _ = convolution.shape
    kernel = graph.take(convolution.weight)
    matrices = np.ascontiguousarray(kernel.transpose(2, 3, 1, 0)).reshape(height, -1, outputs)
    rounded = products.rounded(graph, node.input[0])
    last, made = f"{node.output[0]}_last", f"{node.output[0]}_made"
    nodes = [helper.make_node("Transpose", [rounded.values], [last], name=last, perm=_CHANNELS_LAST)]
    windows = [last]
    if not convolution.plain:
        gathering, windows = _windows(graph, convolution, last, rounded)
        nodes += gathering
    factors = []
    for y, (rows, matrix) in enumerate(zip(windows, matrices, strict=True)):
        name = f"{convolution.weight}_{y}" if y else convolution.weight
        factors.append((rows, products.store(graph, name, matrix, "" if y else convolution.bias)))
    nodes += products.of(graph, factors, rounded, made)
    nodes.append(helper.make_node("Transpose", [made], [node.output[0]], name=node.output[0], perm=_CHANNELS_FIRST))
    graph.rewrite(node, nodes)


def _windows(graph: Graph, convolution: Convolution, image: str, rounded: Rounded) -> tuple[list[NodeProto], list[str]]:
    """Return the nodes that gather the windows of ``image`` [b, h, w, c], and for each of the kernel's rows what lies
    below it: [b, h', w', width c].
    """
    _, _, height, width = convolution.shape
    stem = convolution.node.output[0]
    nodes, padded = [], image
    if any(convolution.pads):
        top, left, bottom, right = convolution.pads
        padded = f"{stem}_padded"
        pads = _integers(graph, (0, top, left, 0, 0, bottom, right, 0))
        nodes.append(helper.make_node("Pad", [image, pads, rounded.zero], [padded], name=padded))

    def taken(source: str, axis: int, size: int, out: str) -> list[str]:
        """Add the nodes that take each of ``size`` neighbours along an axis, a stride apart."""
        step, parts = convolution.strides[axis - 1], [f"{out}_{place}" for place in range(size)]
        for place, part in enumerate(parts):
            ends = _integers(graph, (place - size + 1 or _END,))
            inputs = [source, _integers(graph, (place,)), ends, _integers(graph, (axis,)), _integers(graph, (step,))]
            nodes.append(helper.make_node("Slice", inputs, [part], name=part))
        return parts

    columns = taken(padded, 2, width, f"{stem}_column")
    wide = f"{stem}_wide"
    nodes.append(helper.make_node("Concat", columns, [wide], name=wide, axis=3))
    return nodes, taken(wide, 1, height, f"{stem}_row")


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
