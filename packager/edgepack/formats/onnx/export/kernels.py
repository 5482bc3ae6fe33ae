"""Store convolutions' kernels in 8 bits; they are restored to float when the model is loaded.

Not every processor has a fast product for convolutions with a dynamic scale, so this saves the bytes and leaves the
speed; the recipe int8-static computes in 8 bits as well.
"""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, helper

from edgepack.formats.onnx._graph import Graph

_SMALLEST = 256  # values; below, the scales weigh as much


def kernels(graph: Graph) -> list[NodeProto]:
    """Return the convolutions with a constant float kernel."""
    return [
        node
        for node in graph.nodes
        if node.op_type == "Conv"
        and graph.is_float(node.input[1])
        and int(np.prod(graph.shape(node.input[1]) or ())) >= _SMALLEST
    ]


def store_all(graph: Graph) -> None:
    """Store every kernel."""
    for kernel in kernels(graph):
        store(graph, kernel)


def store(graph: Graph, node: NodeProto) -> None:
    """Replace the kernel by int8 values and a scale per output channel."""
    name = node.input[1]
    kernel = graph.take(name)
    scale = np.abs(kernel).reshape(len(kernel), -1).max(axis=1) / 127
    scale = np.maximum(scale, 1e-12).astype(np.float32)
    shape = (-1,) + (1,) * (kernel.ndim - 1)
    values = np.clip(np.round(kernel / scale.reshape(shape)), -127, 127).astype(np.int8)
    restored = f"{name}_restored"
    stored = [graph.add(f"{name}_q8", values), graph.add(f"{name}_scale", scale)]
    restore = helper.make_node("DequantizeLinear", stored, [restored], name=restored, axis=0)
    graph.rewrite(node, [restore, node])
    node.input[1] = restored
