"""Experts in the graph: which operator computes them, in what bits, and where it is not to be had."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
import transformers

from edgepack import targets
from edgepack.errors import UnsupportedModel
from edgepack.formats import onnx as format_
from edgepack.formats.onnx import builder

from .conftest import Write, ids_of, random_model, recipe
from .test_emit import divergence

Folders = Callable[[str], Path]
# Nats; about three times what was measured of these random models, which are louder than trained ones
_MOST = {
    "qwen3_moe": {"int8": 3e-3, "int4": 0.3},
    "phimoe": {"int8": 0.025, "int4": 0.35},
    "gpt_oss": {"int8": 2e-3, "int4": 0.2},
    "lfm2_moe": {"int8": 0.025, "int4": 0.65},
    "gemma4_text:experts": {"int8": 4e-4, "int4": 0.012},
}


def nodes_of(graph: onnx.GraphProto, kind: str) -> list[dict[str, Any]]:
    """The attributes of each node of a kind."""
    return [{a.name: onnx.helper.get_attribute_value(a) for a in n.attribute} for n in graph.node if n.op_type == kind]


@pytest.mark.parametrize("name", _MOST)
def test_experts_in_blocks(name: str, folder_of: Folders, write: Write) -> None:
    for chosen, most in _MOST[name].items():
        written = write(folder_of(name), recipe(chosen), [ids_of(2, 24, seed=1)])
        d = written.reference.decoder
        found, kinds = nodes_of(written.graph, "QMoE"), [d.experts_of(layer) for layer in range(d.layers)]
        if name.startswith("gemma4"):  # whose activation QMoE lacks
            each = [node for node in nodes_of(written.graph, "MatMulNBits") if node["block_size"] == 32]
            assert sum(node["bits"] == int(chosen[3:]) for node in each) >= sum(2 * one.count for one in kinds if one)
            assert not found
        else:
            assert {(node["expert_weight_bits"], node["block_size"]) for node in found} == {(int(chosen[3:]), 32)}
            assert len(found) == sum(map(bool, kinds))
        assert 0.99 < written.artifact.coverage.share < 1  # routers stay floats
        assert divergence(written, ids_of(2, 24)) <= most


def test_widths_that_no_block_fills_stay_floats(tmp_path: Path, write: Write) -> None:
    config = transformers.MixtralConfig(
        vocab_size=160, hidden_size=64, intermediate_size=40, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, num_local_experts=3, max_position_embeddings=64,
    )  # fmt: skip
    written = write(random_model(config, tmp_path / "model"), recipe("int4"))
    assert nodes_of(written.graph, "MoE")
    assert not nodes_of(written.graph, "QMoE")
    assert written.artifact.coverage.share < recipe("int4").min_coverage  # so that a build stops


def test_targets_that_cannot_run_them(folder_of: Folders) -> None:
    experts, plain = (SimpleNamespace(path=folder_of(name)) for name in ("mixtral", "llama"))
    alike = SimpleNamespace(section=lambda kind: SimpleNamespace(states=None))
    for name in ("web", "android"):
        with pytest.raises(UnsupportedModel, match=f"{name} cannot run a mixture of experts"):
            builder.check(SimpleNamespace(target=targets.load(name), source=experts, processing=alike))
        builder.check(SimpleNamespace(target=targets.load(name), source=plain, processing=alike))
    builder.check(SimpleNamespace(target=targets.load("rpi"), source=experts, processing=alike))


def test_what_the_device_needs() -> None:
    artifact = SimpleNamespace(opset=17, operators={"QMoE": 2})
    assert "onnxruntime 1.32 or later" in format_.needs(artifact, targets.load("rpi"))
    artifact.operators = {"MoE": 2}
    assert "1.32" not in format_.needs(artifact, targets.load("rpi"))
