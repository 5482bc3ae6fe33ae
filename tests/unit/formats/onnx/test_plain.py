"""Look-ups in compressed tables without GatherBlockQuantized: the same rows from the same bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepack import targets
from edgepack.formats.onnx._graph import Graph
from edgepack.formats.onnx.export import plain
from edgepack.formats.onnx.export.embeddings import compress, tables
from edgepack.runtime.engines import open_session

ROWS = 100


def graph_of(width: int, shape: tuple[str | int, ...], path: Path) -> Path:
    """A look-up of ids of ``shape`` in a table."""
    table = np.random.default_rng(5).normal(size=(ROWS, width)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "ids"], ["rows"], axis=0)],
        "look-up",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, shape)],
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, (*shape, width))],
        [numpy_helper.from_array(table, "table")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.mark.parametrize("width", [64, 48, 50])  # blocks of 32, of 16, and one that is not filled
@pytest.mark.parametrize("ids", [(7,), (2, 3), (1, 2, 4)])
@pytest.mark.parametrize("bits", [4, 8])
def test_rows_are_the_same(bits: int, ids: tuple[int, ...], width: int, tmp_path: Path) -> None:
    file = graph_of(width, ids, tmp_path / "model.onnx")
    graph = Graph(file)
    for table in tables(graph):
        compress(graph, table, 4)
    if bits == 8:  # tables.py has rows for it; the operator has both
        _in_8_bits(graph)
    graph.save(file)
    feeds = {"ids": np.random.default_rng(6).integers(0, ROWS, ids)}
    before, size = open_session(file, "onnx", 1)(feeds)["rows"], file.stat().st_size
    plain.write_out(file, ("Loop", "GatherBlockQuantized"))
    after = open_session(file, "onnx", 1)(feeds)["rows"]
    np.testing.assert_array_equal(after, before)
    assert len({tuple(row) for row in before.reshape(-1, width)}) > 1
    kinds = [node.op_type for node in onnx.load(file).graph.node]
    assert "GatherBlockQuantized" not in kinds
    assert file.stat().st_size - size < 4096 + ROWS * 16  # the codes, and what fills a block


def _in_8_bits(graph: Graph) -> None:
    (node,) = graph.nodes
    values = graph.weight(node.input[1 - 1])
    spread = np.stack([values & 15, values >> 4], axis=-1).reshape(ROWS, -1) * 15
    graph.add(node.input[0], spread.astype(np.uint8))
    next(a for a in node.attribute if a.name == "bits").i = 8


def test_a_graph_without_such_operators_stays_as_it_is(tmp_path: Path) -> None:
    file = graph_of(64, (3,), tmp_path / "model.onnx")
    before = file.read_bytes()
    plain.write_out(file, ("GatherBlockQuantized",))
    assert file.read_bytes() == before


def test_the_browsers_runtime_lacks_it() -> None:
    assert targets.load("web").denied_operators == ("GatherBlockQuantized", "MoE", "QMoE")
