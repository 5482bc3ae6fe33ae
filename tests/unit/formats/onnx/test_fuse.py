from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest

from edgepack.errors import ConversionError
from edgepack.formats.onnx.export.fuse import fuse
from edgepack.runtime.engines import open_session

SAME = 1 - 1e-5  # float32 sums in another order


def operators(path):
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def interface(path):
    graph = onnx.load(path).graph
    return [(v.name, v.type.tensor_type.elem_type) for v in (*graph.input, *graph.output)]


@pytest.mark.parametrize("name", ["bert", "distilbert", "roberta", "vit", "mobilenet", "mpnet", "mobilevit"])
def test_a_fused_graph_computes_the_same(exported, cosine, name):
    model = exported(name)
    assert interface(model.fused) == interface(model.plain)
    assert all(cosine(model.fused, model, feed) > SAME for feed in model.feeds)


@pytest.mark.parametrize("name", ["bert", "distilbert", "roberta", "vit"])
def test_attention_becomes_one_operator_per_layer(exported, name):
    found = operators(exported(name).fused)
    assert found["Attention"] + found["MultiHeadAttention"] == 2
    assert found["Softmax"] == 0


@pytest.mark.parametrize(
    ("name", "kind", "layers"), [("mpnet", "MultiHeadAttention", 2), ("mobilevit", "Attention", 9)]
)
def test_attention_that_is_written_out_becomes_one_operator_too(exported, name, kind, layers):
    found = operators(exported(name).fused)
    assert found[kind] == layers
    assert found["Softmax"] == 0


def test_what_only_looks_like_it_stays(exported, tmp_path):
    """A mask that is made of something else is added as a bias; two of them are more than the operator takes."""
    model = exported("mpnet")
    proto = onnx.load(model.plain)
    for softmax in [node for node in proto.graph.node if node.op_type == "Softmax"]:
        place = list(proto.graph.node).index(softmax)
        more = onnx.helper.make_node("Add", [softmax.input[0], "more"], [f"{softmax.name}_more"])
        softmax.input[0] = more.output[0]
        proto.graph.node.insert(place, more)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "more"))
    onnx.save(proto, tmp_path / "plain.onnx")
    fuse(
        tmp_path / "plain.onnx",
        tmp_path / "fused.onnx",
        model_type="mpnet",
        heads=4,
        hidden=64,
        ir_version=9,
        tables={},
    )
    assert operators(tmp_path / "fused.onnx")["Softmax"] == 2


@pytest.mark.parametrize("name", ["bert", "mpnet"])
def test_padding_on_the_left_is_masked_as_well(exported, cosine, name):
    model = exported(name)
    feed = {name: array.copy() for name, array in model.feeds[1].items()}
    feed["attention_mask"] = feed["attention_mask"][:, ::-1].copy()
    assert cosine(model.fused, model, feed) > SAME


def test_an_embedding_does_not_depend_on_the_padding_beside_it(exported):
    model = exported("bert")
    session = open_session(model.fused, "onnx", 1)
    alone = {name: array[2:3, :10] for name, array in model.feeds[1].items()}
    together = session(model.feeds[1])["sentence_embedding"][2]
    np.testing.assert_allclose(session(alone)["sentence_embedding"][0], together, atol=1e-5)


def test_weights_are_named_after_their_layers(exported):
    names = [tensor.name for tensor in onnx.load(exported("bert").fused).graph.initializer]
    assert not [name for name in names if name.startswith("onnx::")]
    assert any(name.endswith("layer.0.intermediate.dense.weight") for name in names)


def test_a_network_of_convolutions_stays_as_it_was(exported):
    model = exported("mobilenet")
    plain, fused = operators(model.plain), operators(model.fused)
    assert {kind: fused[kind] for kind in ("Conv", "Clip", "Gemm")} == {
        kind: plain[kind] for kind in ("Conv", "Clip", "Gemm")
    }
    assert set(fused) <= set(plain)


def test_the_same_graph_gives_the_same_bytes(exported, tmp_path):
    model = exported("bert")
    fuse(model.plain, tmp_path / "again.onnx", model_type="bert", heads=4, hidden=64, ir_version=9, tables={})
    assert (tmp_path / "again.onnx").read_bytes() == model.fused.read_bytes()


def test_a_changed_interface_is_an_error(exported, tmp_path, monkeypatch):
    model = exported("bert")
    answers = iter([["one"], ["another"]])
    monkeypatch.setattr("edgepack.formats.onnx.export.fuse._interface", lambda proto: next(answers, ["another"]))
    with pytest.raises(ConversionError, match="interface"):
        fuse(model.plain, tmp_path / "out.onnx", model_type="bert", heads=4, hidden=64, ir_version=9, tables={})


def test_sizes_of_outputs_that_never_vary_are_numbers(exported, tmp_path):
    model = exported("bert")
    names = [output.name for output in onnx.load(model.fused, load_external_data=False).graph.output]
    shapes = {"sentence_embedding": [(1, 64), (3, 64)], "last_hidden_state": [(1, 8, 64), (3, 9, 32)]}
    given = {"model_type": "bert", "heads": 4, "hidden": 64, "ir_version": 9, "tables": {}}
    fuse(model.plain, tmp_path / "sized.onnx", **given, shapes={name: shapes.get(name, []) for name in names})
    graph = onnx.load(tmp_path / "sized.onnx", load_external_data=False).graph
    sizes = {output.name: output.type.tensor_type.shape.dim[-1].dim_value for output in graph.output}
    assert sizes == {"sentence_embedding": 64, "last_hidden_state": 0}  # 0 where it varies: there a name stays
