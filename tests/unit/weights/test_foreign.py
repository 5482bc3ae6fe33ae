"""Checkpoints that other tools quantized are named for what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from edgepack import weights
from edgepack.errors import UnsupportedModel
from edgepack.weights import foreign

FP8, I32, U32, U8, I8 = torch.float8_e4m3fn, torch.int32, torch.uint32, torch.uint8, torch.int8
LAYER = "model.layers.0.self_attn.q_proj."


def checked(folder: Path, tensors: dict[str, torch.dtype], config: dict[str, Any]) -> None:
    save_file({name: torch.zeros(2, 4).to(dtype) for name, dtype in tensors.items()}, folder / "model.safetensors")
    foreign.check(folder, config, weights.tensors(folder / "model.safetensors"))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"qweight": I32, "qzeros": I32, "scales": torch.float16, "g_idx": I32}, "GPTQ"),
        ({"qweight": I32, "qzeros": I32, "scales": torch.float16}, "GPTQ or AWQ"),
        ({"weight": U32, "scales": torch.float16, "biases": torch.float16}, "MLX"),
        ({"weight": U8, "weight.absmax": torch.float32, "weight.quant_map": torch.float32}, "bitsandbytes"),
        ({"weight": U8, "weight.quant_state.bitsandbytes__nf4": U8}, "bitsandbytes"),
        ({"weight": I8, "SCB": torch.float32}, "bitsandbytes"),
        ({"weight": FP8, "weight_scale_inv": torch.float32}, "fp8 in blocks"),
        ({"weight": FP8}, "fp8"),
        ({"weight": FP8, "weight_scale": torch.float32}, "with scales"),
        ({"weight_packed": I32, "weight_scale": torch.float16, "weight_shape": I32}, "compressed-tensors"),
        ({"weight:_data": I8, "weight:_scale": torch.float32}, "torchao"),
        ({"weight._data": I8, "weight._scale": torch.float32}, "optimum-quanto"),
        ({"W_q": U8, "scale": torch.float16}, "HQQ"),
        ({"weight": I8}, "integers"),
    ],
)
def test_by_tensors(names: dict[str, torch.dtype], said: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match=said):
        checked(tmp_path, {LAYER + name: dtype for name, dtype in names.items()}, {})


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}, "fp8"),
        ({"quantization_config": {"quant_method": "torchao"}}, "torchao"),
        ({"quantization_config": {"quant_method": "a-new-one"}}, "a-new-one"),
        ({"quantization_config": {"load_in_8bit": True}}, "unnamed method"),
        ({"compression_config": {"quant_method": "compressed-tensors"}}, "compressed-tensors"),
        ({"text_config": {"quantization_config": {"quant_method": "mxfp4"}}}, "MXFP4"),
        ({"model_type": "gpt_oss", "quantization_config": {"quant_method": "gptq"}}, "GPTQ"),
        ({"quantization": {"group_size": 64, "bits": 4}}, "MLX"),
    ],
)
def test_by_config(config: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match=said):
        checked(tmp_path, {f"{LAYER}weight": torch.float32}, config)


@pytest.mark.parametrize("name", ["quantize_config.json", "quant_config.json", "hf_quant_config.json"])
def test_by_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(json.dumps({"bits": 4}))
    with pytest.raises(UnsupportedModel, match=name):
        checked(tmp_path, {f"{LAYER}weight": torch.float32}, {})


def test_the_card_names_the_base_model(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: mit\nbase_model:\n- org/whole\n---\n# Hello\n")
    with pytest.raises(UnsupportedModel) as raised:
        checked(tmp_path, {f"{LAYER}weight": FP8}, {})
    assert raised.value.hint.endswith("edgepack build org/whole")


def test_plain_weights_pass(tmp_path: Path) -> None:
    plain = {f"{LAYER}weight": torch.bfloat16, "position_ids": torch.int64, "logit_scale": torch.float32,
             "h.0.attn.masked_bias": torch.float32, "bn.num_batches_tracked": torch.int64}  # fmt: skip
    checked(tmp_path, plain, {"quantization_config": None})


@pytest.mark.parametrize("dtypes", [(torch.float64, torch.float64), (torch.float32, torch.float64)])
def test_float64_is_no_quantization(tmp_path: Path, dtypes: tuple[torch.dtype, torch.dtype]) -> None:
    checked(tmp_path, {"a.weight": dtypes[0], "b.weight": dtypes[1]}, {})


def test_what_gpt_oss_is_published_in_is_read(tmp_path: Path) -> None:
    config = {"model_type": "gpt_oss", "quantization_config": {"quant_method": "mxfp4"}}
    checked(tmp_path, {f"{LAYER}experts.down_proj_blocks": torch.uint8}, config)
