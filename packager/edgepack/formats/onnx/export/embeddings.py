"""Compress embedding tables: a Gather from a float matrix becomes one from integers, restored row by row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, TensorProto, helper

from edgepack.arrays import Array
from edgepack.formats.onnx._graph import Graph, attributes, contrib
from edgepack.quantization.rounding import blocks

_SMALLEST = 4096  # values; a smaller table saves nothing worth a node
_CHUNK = 4096  # rows that are rounded at once
_BLOCK = 32


@dataclass(frozen=True)
class Table:
    """A Gather of rows from a constant matrix."""

    node: NodeProto
    weight: str
    shape: tuple[int, int]


def tables(graph: Graph) -> list[Table]:
    """Return the embedding tables of a graph."""
    found = []
    for node in graph.nodes:
        shape = graph.shape(node.input[0]) if node.op_type == "Gather" else None
        if shape is None or len(shape) != 2 or not graph.is_float(node.input[0]):
            continue
        if attributes(node).get("axis", 0) == 0 and shape[0] * shape[1] >= _SMALLEST:
            found.append(Table(node, node.input[0], (shape[0], shape[1])))
    return found


def compress(graph: Graph, table: Table, bits: int) -> None:
    """Compress to 8 bits (a scale per row, in operators that every runtime has) or 4 (blocks, in
    GatherBlockQuantized).
    """
    if bits == 8:
        _rows(graph, table)
    else:
        _blocks(graph, table, bits)


def _rows(graph: Graph, table: Table) -> None:
    matrix = graph.take(table.weight)
    largest = np.maximum(matrix.max(axis=1, keepdims=True), -matrix.min(axis=1, keepdims=True))  # and no copy
    scale = np.maximum(largest / 127, 1e-12).astype(np.float32)
    values = np.empty(matrix.shape, np.int8)
    for start in range(0, len(matrix), _CHUNK):
        part = slice(start, start + _CHUNK)
        values[part] = np.round(matrix[part] / scale[part])
    name, ids = table.node.output[0], table.node.input[1]
    stored = graph.add(f"{table.weight}_q8", values), graph.add(f"{table.weight}_scale", scale)
    graph.rewrite(
        table.node,
        [
            helper.make_node("Gather", [stored[0], ids], [f"{name}_q8"], name=f"{name}_q8"),
            helper.make_node("Gather", [stored[1], ids], [f"{name}_scale"], name=f"{name}_scale"),
            helper.make_node("Cast", [f"{name}_q8"], [f"{name}_cast"], name=f"{name}_cast", to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}_cast", f"{name}_scale"], [name], name=name),
        ],
    )


def _blocks(graph: Graph, table: Table, bits: int) -> None:
    matrix = graph.take(table.weight)
    size = _block_size(matrix.shape[1])
    parts: list[tuple[Array, Array]] = []
    for start in range(0, len(matrix), _CHUNK):
        made = blocks(matrix[start : start + _CHUNK], bits, size)
        parts.append((made.packed().reshape(len(made.values), -1), made.scale))
    values, scale = (np.concatenate(column) for column in zip(*parts, strict=True))
    values = values[:, : -(-matrix.shape[1] * bits // 8)]  # the padding to whole blocks is not stored
    node = contrib(
        "GatherBlockQuantized",
        [
            graph.add(f"{table.weight}_q{bits}", values),
            table.node.input[1],
            graph.add(f"{table.weight}_scale", scale),
        ],
        [table.node.output[0]],
        bits=bits,
        block_size=size,
        gather_axis=0,
        quantize_axis=1,
    )
    graph.rewrite(table.node, [node])


def _block_size(width: int) -> int:
    """Return the largest allowed block (a power of two, at least 16) that divides the width, 16 where none does."""
    return next((size for size in (_BLOCK, 16) if width % size == 0), 16)
