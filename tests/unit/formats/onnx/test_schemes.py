from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgepack import plugins, targets
from edgepack.formats.onnx.export import contents

RECIPES = targets.built_in_recipes("onnx")[0]
# The least cosine per recipe: what the bits allow on random weights, which have no structure to exploit.
LEAST = {"fp32": 1 - 1e-5, "fp16": 0.9999, "int8": 0.99, "int8-fine": 0.995, "int4": 0.7}
MODELS = ["bert", "narrow", "distilbert", "roberta", "tied", "shared", "vit"]


def quantize(model, recipe, out):
    scheme = plugins.load("formats.onnx.export.schemes", recipe.scheme)
    return scheme.quantize(model.fused, out, recipe, model.feeds)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("recipe", LEAST)
def test_a_compressed_model_agrees_with_the_original(exported, cosine, tmp_path, name, recipe):
    model, out = exported(name), tmp_path / "model.onnx"
    coverage = quantize(model, RECIPES[recipe], out)
    artifact = contents.describe(out, coverage, model.fused)
    assert [spec.name for spec in artifact.outputs][-1] == model.key
    assert min(cosine(out, model, feed) for feed in model.feeds) > LEAST[recipe]


@pytest.mark.parametrize("recipe", ["int8", "int8-fine", "int4"])
@pytest.mark.parametrize("name", MODELS)
def test_every_weight_is_compressed_or_named(exported, tmp_path, name, recipe):
    model, out = exported(name), tmp_path / "model.onnx"
    coverage = quantize(model, RECIPES[recipe], out)
    left = {
        tensor.name: int(np.prod(tensor.dims))
        for tensor in onnx.load(out).graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and not tensor.name.endswith(("_scale", "_smooth"))
    }
    matrices = {weight: size for weight, size in left.items() if size >= 4096}
    assert set(matrices) <= {skipped.tensor for skipped in coverage.skipped}
    assert all(skipped.reason for skipped in coverage.skipped)
    assert coverage.share > 0.8


def test_no_pair_of_weights_can_saturate_16_bits(exported, tmp_path):
    model, out = exported("bert"), tmp_path / "model.onnx"
    quantize(model, RECIPES["int8"], out)
    graph = onnx.load(out).graph
    read = {n.input[1] for n in graph.node if n.op_type in ("DynamicQuantizeMatMul", "QAttention")}
    stored = [numpy_helper.to_array(t) for t in graph.initializer if t.name in read]
    assert len(stored) == 8
    for weight in stored:
        pairs = weight.astype(int).reshape(-1, 2, weight.shape[1])
        assert 255 * pairs.clip(min=0).sum(1).max() <= 32767
        assert 255 * pairs.clip(max=0).sum(1).min() >= -32768


@pytest.mark.parametrize("recipe", ["int8", "int8-fine", "int4"])
def test_the_same_model_gives_the_same_bytes(exported, tmp_path, recipe):
    model = exported("bert")
    for name in ("a", "b"):
        quantize(model, RECIPES[recipe], tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("recipe", ["int8", "int8-fine", "int4"])
def test_calibration_may_be_empty(exported, cosine, tmp_path, recipe):
    model, out = exported("bert"), tmp_path / "model.onnx"
    plugins.load("formats.onnx.export.schemes", RECIPES[recipe].scheme).quantize(model.fused, out, RECIPES[recipe], [])
    assert min(cosine(out, model, feed) for feed in model.feeds) > LEAST["int4"]


def test_a_tied_head_and_its_table_are_both_compressed(exported, tmp_path):
    model, out = exported("roberta"), tmp_path / "model.onnx"
    quantize(model, RECIPES["int8"], out)
    floats = [t for t in onnx.load(out).graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
    assert max(int(np.prod(tensor.dims)) for tensor in floats) < 300 * 64


def test_static_int8_compresses_convolutions(exported, cosine, tmp_path):
    model, out = exported("mobilenet"), tmp_path / "model.onnx"
    level = logging.getLogger().level
    coverage = quantize(model, RECIPES["int8-static"], out)
    assert logging.getLogger().level == level
    assert coverage.share > 0.9
    assert out.stat().st_size < 0.6 * model.plain.stat().st_size  # of a model this small, half is graph
    assert min(cosine(out, model, feed) for feed in model.feeds) > 0.95


def test_static_weights_are_unsigned_and_versions_stay(exported, tmp_path):
    model, out = exported("mobilenet"), tmp_path / "model.onnx"
    quantize(model, RECIPES["int8-static"], out)
    before, after = onnx.load(model.fused), onnx.load(out)
    assert after.ir_version == before.ir_version
    assert [(e.domain, e.version) for e in after.opset_import] == [("", 17)]
    # u8 * s8 saturates on x86 without VNNI, u8 * u8 does not
    assert onnx.TensorProto.INT8 not in {tensor.data_type for tensor in after.graph.initializer}


def test_dynamic_int8_stores_convolutions_in_8_bits(exported, cosine, tmp_path):
    model, out = exported("mobilenet"), tmp_path / "model.onnx"
    coverage = quantize(model, RECIPES["int8"], out)
    assert coverage.share > 0.99
    assert out.stat().st_size < 0.6 * model.plain.stat().st_size  # of a model this small, half is graph
    assert min(cosine(out, model, feed) for feed in model.feeds) > LEAST["int8"]


def test_components_account_for_every_stored_byte(exported, tmp_path):
    model, out = exported("bert"), tmp_path / "model.onnx"
    artifact = contents.describe(out, quantize(model, RECIPES["int4"], out), model.fused)
    parts = {component.name: component for component in artifact.components}
    assert {"embedding", "attention", "mlp"} <= set(parts)
    stored = sum(tensor.ByteSize() for tensor in onnx.load(out).graph.initializer)
    assert sum(component.bytes for component in artifact.components) == stored
    floats = onnx.load(model.fused).graph.initializer
    original = sum(int(np.prod(t.dims)) for t in floats if t.data_type == onnx.TensorProto.FLOAT)
    assert sum(component.parameters for component in artifact.components) == original
    assert parts["mlp"].bits_per_weight < 6.5 < parts["attention"].bits_per_weight


def test_operators_and_opset_are_counted(exported, tmp_path):
    model, out = exported("bert"), tmp_path / "model.onnx"
    artifact = contents.describe(out, quantize(model, RECIPES["fp32"], out), model.fused)
    assert artifact.opset == 17
    assert artifact.operators == Counter(node.op_type for node in onnx.load(out).graph.node)
    assert artifact.inputs[0].shape == ("batch_size", "sequence_length")


def test_finer_parts_keep_eight_bits(exported, tmp_path):
    model, out = exported("bert"), tmp_path / "model.onnx"
    quantize(model, replace(RECIPES["int4"], finer=("mlp",)), out)
    bits = Counter(
        next(a.i for a in node.attribute if a.name == "bits")
        for node in onnx.load(out).graph.node
        if node.op_type == "MatMulNBits"
    )
    assert bits == {4: 4, 8: 4}
