"""Convolutions and linear layers whose products are in 8 bits: one node alone, and the UNet of a pipeline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from tests import pipelines

from edgepack import plugins, targets
from edgepack.formats.onnx._graph import Graph
from edgepack.formats.onnx.export import contents
from edgepack.formats.onnx.export.convolutions import convolutions, rewrite
from edgepack.formats.onnx.export.products import Products
from edgepack.formats.onnx.export.trace import export
from edgepack.quantization.rounding import per_channel
from edgepack.runtime.engines import open_session
from edgepack.tasks._diffusion import UNET

PRODUCTS = replace(targets.built_in_recipes("onnx")[0]["int8-fast"], min_coverage=0.0)
TWO_TERMS = replace(PRODUCTS, activation_bits=16)
SCHEME = plugins.load("formats.onnx.export.schemes", PRODUCTS.scheme)
LEAST = {1: 32, 2: 75}  # dB between a product and the same in float with the stored weights: the activations' rounding
SHAPES = [
    # pads (top, left, bottom, right), strides, kernel, height, width, batch
    ((1, 1, 1, 1), (1, 1), (3, 3), 8, 6, 1),
    ((1, 1, 1, 1), (2, 2), (3, 3), 8, 6, 2),
    ((0, 0, 1, 1), (2, 2), (3, 3), 9, 7, 2),  # as the encoder's downsampling pads
    ((0, 0, 0, 0), (1, 1), (1, 1), 5, 3, 2),
    ((0, 0, 0, 0), (2, 2), (1, 1), 5, 4, 1),
    ((2, 0, 2, 0), (1, 1), (5, 1), 5, 4, 1),
]


def multiply(model, out, terms):
    """Rewrite the convolutions of ``model`` alone, as the scheme does where there are transformer blocks too."""
    graph, products = Graph(model), Products(terms)
    for convolution in convolutions(graph):
        rewrite(graph, convolution, products)
    graph.save(out)


def noise(true, made):
    """The noise of ``made`` beside ``true``, in dB."""
    return 10 * np.log10(np.square(true).mean() / np.square(true - made).mean())


def run(path, feeds):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, feeds)[0]


def saved(path, nodes, weights, shape):
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape if name == "x" else None) for name in "xy"]
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.mark.parametrize(("pads", "strides", "kernel", "height", "width", "batch"), SHAPES)
@pytest.mark.parametrize("terms", [1, 2], ids=["one term", "two terms"])
def test_a_convolution_is_that_of_its_stored_weights(tmp_path, terms, pads, strides, kernel, height, width, batch):
    random = np.random.default_rng(3)
    weight = random.normal(size=(9, 11, *kernel)).astype(np.float32)
    bias = random.normal(size=9).astype(np.float32)
    image = random.normal(size=(batch, 11, height, width)).astype(np.float32)
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], pads=pads, strides=strides)
    model = saved(tmp_path / "float.onnx", [node], {"w": weight, "b": bias}, [None] * 4)
    multiply(model, tmp_path / "made.onnx", terms)
    largest = 255 if terms == 1 else 127
    rows = [per_channel(row, largest).restored() for row in weight.transpose(2, 3, 1, 0).reshape(kernel[0], -1, 9)]
    kept = np.stack(rows).reshape(*kernel, 11, 9).transpose(3, 2, 0, 1)
    stored = saved(tmp_path / "stored.onnx", [node], {"w": np.ascontiguousarray(kept), "b": bias}, [None] * 4)
    true, made = (run(path, {"x": image}) for path in (stored, tmp_path / "made.onnx"))
    assert made.shape == true.shape
    assert noise(true, made) > LEAST[terms]


def test_zeros_stay_zeros(tmp_path):
    weight = np.ones((16, 16, 3, 3), np.float32)
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 4)
    model = saved(tmp_path / "float.onnx", [node], {"w": weight}, [None] * 4)
    for terms in (1, 2):
        multiply(model, tmp_path / "made.onnx", terms)
        assert not run(tmp_path / "made.onnx", {"x": np.zeros((1, 16, 4, 4), np.float32)}).any()


def test_convolutions_alone_are_stored_in_8_bits(tmp_path):
    """Grouped, dilated or plain: restored to float, and so computed, as images are too large for windows."""
    random = np.random.default_rng(3)
    weights = {
        "grouped": random.normal(size=(16, 1, 5, 5)).astype(np.float32),
        "dilated": random.normal(size=(16, 16, 3, 3)).astype(np.float32),
        "plain": random.normal(size=(16, 16, 3, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "grouped"], ["z"], pads=[2] * 4, group=16),
        helper.make_node("Conv", ["z", "dilated"], ["v"], pads=[2] * 4, dilations=[2, 2]),
        helper.make_node("Conv", ["v", "plain"], ["y"], pads=[1] * 4),
    ]
    model = saved(tmp_path / "float.onnx", nodes, weights, [None] * 4)
    coverage = SCHEME.quantize(model, tmp_path / "made.onnx", TWO_TERMS, [])
    image = {"x": random.normal(size=(1, 16, 6, 6)).astype(np.float32)}
    assert coverage.share == 1
    assert {node.op_type for node in onnx.load(tmp_path / "made.onnx").graph.node} == {"Conv", "DequantizeLinear"}
    assert noise(run(model, image), run(tmp_path / "made.onnx", image)) > 36


@pytest.fixture(scope="module")
def unet(tmp_path_factory):
    """A UNet whose layers have enough channels, its graph, and what is fed: another size and batch than was traced."""
    torch.manual_seed(0)
    module = pipelines.unet(block_out_channels=(16, 32), norm_num_groups=4, attention_head_dim=4)
    call = pipelines.unet_run(module)
    random = np.random.default_rng(2)

    def feeds(batch, height, width):
        return {
            "sample": random.normal(size=(batch, 4, height, width)).astype(np.float32),
            "timestep": np.array(500, np.int64),
            "encoder_hidden_states": random.normal(size=(batch, 7, 32)).astype(np.float32),
        }

    class Named(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.config = module, module.config

        def forward(self, **inputs):
            return {"out_sample": self.inner(**inputs).sample}

    path, first = tmp_path_factory.mktemp("unet") / "model.onnx", feeds(1, 8, 8)
    export(
        Named().eval(),
        path,
        batch=(first, call(first)),
        outputs=UNET.OUTPUTS,
        opset=17,
        own_attention=True,
        axes=UNET.AXES,
    )
    fed = feeds(2, 16, 12)
    return path, fed, call(fed)["out_sample"]


@pytest.mark.parametrize(("terms", "weight_bits", "least"), [(1, 8, 27), (2, 8, 32), (2, 4, 20)])
def test_a_unet_computes_in_8_bits_what_diffusers_computes(unet, tmp_path, terms, weight_bits, least):
    model, feeds, true = unet
    recipe = replace(PRODUCTS, activation_bits=8 * terms, weight_bits=weight_bits, block_size=32)
    coverage = SCHEME.quantize(model, tmp_path / "model.onnx", recipe, [])
    made = open_session(tmp_path / "model.onnx", "onnx")(feeds)["out_sample"]
    assert noise(true, made) > least
    assert {skipped.reason for skipped in coverage.skipped} == {"a convolution of few channels"}
    assert len(coverage.skipped) == 2
    assert coverage.share > 0.95


def test_two_terms_lose_what_the_weights_lose(unet, tmp_path):
    """Beside the weights' rounding, that of activations does not show."""
    model, feeds, true = unet
    made = {}
    for recipe in (PRODUCTS, TWO_TERMS):
        SCHEME.quantize(model, tmp_path / "model.onnx", recipe, [])
        made[recipe.activation_bits] = noise(true, open_session(tmp_path / "model.onnx", "onnx")(feeds)["out_sample"])
    assert made[16] > made[8] + 2


def test_weights_lie_beside_the_graph_and_are_counted(unet, tmp_path):
    model, *_ = unet
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        coverage = SCHEME.quantize(model, tmp_path / name / "model.onnx", TWO_TERMS, [])
    artifact = contents.describe(tmp_path / "a" / "model.onnx", coverage, model)
    files = sorted(file for file in (tmp_path / "a").iterdir())
    assert [file.name for file in files] == ["model.onnx", "model.onnx_data"]
    padding = 4096 * artifact.operators["MatMulIntegerToFloat"]  # each large weight begins with a page
    assert 0 <= sum(file.stat().st_size for file in files) - artifact.bytes < padding
    assert [file.read_bytes() for file in files] == [(tmp_path / "b" / file.name).read_bytes() for file in files]
    components = {component.name: component for component in artifact.components}
    assert components["conv"].bytes == pytest.approx(components["conv"].parameters, rel=0.3)


def test_images_of_several_sizes_share_an_arena(unet, tmp_path):
    """Sessions of weights that lie beside the graph take their memory from one place."""
    model, feeds, _ = unet
    SCHEME.quantize(model, tmp_path / "model.onnx", PRODUCTS, [])
    runs = [open_session(tmp_path / "model.onnx", "onnx") for _ in range(2)]
    first = runs[0](feeds)["out_sample"]
    assert runs[1]({**feeds, "sample": feeds["sample"][:, :, :8]})["out_sample"].shape == (2, 4, 8, 12)
    for run in runs:
        np.testing.assert_array_equal(run(feeds)["out_sample"], first)
