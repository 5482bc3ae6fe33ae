"""Operators that a target's runtime lacks, written out in ones that it has: the same bytes, and the same values."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from onnx import NodeProto, TensorProto, helper

from edgepack.arrays import Array
from edgepack.formats.onnx._graph import Graph, attributes

GATHER = "GatherBlockQuantized"


def write_out(path: Path, denied: Collection[str]) -> None:
    """Rewrite the model at ``path`` without those of ``denied`` that can be written out."""
    if GATHER not in denied:
        return
    graph = Graph(path)
    found = [node for node in graph.nodes if node.op_type == GATHER]
    for node in found:
        _gather(graph, node)
    if found:
        graph.save(path)


def codes(bits: int) -> Array:
    """Return what each byte holds, float32 [256, 8 / bits]: unsigned integers with zero at the middle, the lowest bits
    first.

    Looked up in it, bytes become integers in two operators, whatever the bits.
    """
    bytes_ = np.arange(256)[:, None] >> np.arange(0, 8, bits)
    return ((bytes_ & ((1 << bits) - 1)) - (1 << (bits - 1))).astype(np.float32)


def _gather(graph: Graph, node: NodeProto) -> None:
    """Write out rows of bytes, their integers, times their blocks' scales, as flat as they were."""
    facts, name = attributes(node), node.output[0]
    bits, size = facts["bits"], facts["block_size"]
    values, scale = graph.take(node.input[0]), graph.take(node.input[2])
    rows, width = len(values), values.shape[1] * 8 // bits
    filled = np.pad(values, ((0, 0), (0, scale.shape[1] * size * bits // 8 - values.shape[1])))
    bytes_ = graph.add(node.input[0], filled.reshape(rows, -1, size * bits // 8))
    scales = graph.add(node.input[2], scale.reshape(rows, -1, 1, 1))
    table = graph.add(f"codes_of_{bits}_bits", codes(bits))
    last = graph.add("the_rest", np.array([-1], np.int64))
    ids, whole = node.input[1], name if filled.shape == values.shape else f"{name}_filled"

    def made(kind: str, inputs: list[str], output: str, **more: int) -> NodeProto:
        return helper.make_node(kind, inputs, [output], name=output, **more)

    nodes = [
        made("Gather", [bytes_, ids], f"{name}_bytes"),
        made("Cast", [f"{name}_bytes"], f"{name}_places", to=TensorProto.INT32),
        made("Gather", [table, f"{name}_places"], f"{name}_integers"),
        made("Gather", [scales, ids], f"{name}_scales"),
        made("Mul", [f"{name}_integers", f"{name}_scales"], f"{name}_blocks"),
        made("Shape", [ids], f"{name}_ids"),
        made("Concat", [f"{name}_ids", last], f"{name}_shape", axis=0),
        made("Reshape", [f"{name}_blocks", f"{name}_shape"], whole),
    ]
    if whole != name:
        start, end = graph.add("from_0", np.array([0], np.int64)), graph.add(f"to_{width}", np.array([width], np.int64))
        nodes.append(made("Slice", [whole, start, end, last], name))
    graph.rewrite(node, nodes)
