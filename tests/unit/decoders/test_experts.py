"""Experts: every form that their weights are stored in, and which of them are read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from edgepack import weights
from edgepack.decoders import describe
from edgepack.decoders.checkpoint import Checkpoint
from edgepack.decoders.stack import Mxfp4
from edgepack.errors import DamagedWeights, UnsupportedModel
from edgepack.original.decoder import Reference
from edgepack.original.experts import mixed

from .conftest import EXPERTS, config_of

Family = Callable[[str], tuple[Path, Any]]
_CLOSE = 1e-4  # float32 sums in another order, relative to the largest logit
IDS = np.random.default_rng(3).integers(3, 160, (1, 12))


def logits(folder: Path) -> np.ndarray:
    return Reference(Checkpoint(folder, describe(config_of(folder)))).logits(IDS)


def transformers_logits(model: Any) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(model(torch.from_numpy(IDS)).logits)


def changed(folder: Path, out: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Path:
    """A copy of a model's folder with other tensors."""
    shutil.copytree(folder, out)
    file = out / "model.safetensors"
    save_file({name: each.contiguous() for name, each in change(load_file(file)).items()}, file, {"format": "pt"})
    return out


@pytest.mark.parametrize("name", [name for name in EXPERTS if ":" not in name])
def test_tensors_as_the_modules_of_transformers_hold_them(name: str, family: Family, tmp_path: Path) -> None:
    """save_pretrained writes the form that was published first; state_dict has all experts in one tensor."""
    folder, model = family(name)
    held = changed(folder, tmp_path / "held", lambda saved: dict(model.state_dict()))
    listed = {tensor.name for tensor in weights.tensors(held / "model.safetensors")}
    assert any(name.endswith("experts.gate_up_proj") for name in listed)
    assert np.array_equal(logits(held), logits(folder))


def test_mxfp4_is_read_as_transformers_reads_it(family: Family, tmp_path: Path) -> None:
    folder, model = family("gpt_oss")
    generator = torch.Generator().manual_seed(4)
    packed: dict[str, torch.Tensor] = {}
    state = dict(model.state_dict())
    for name in [name for name in state if name.endswith(("gate_up_proj", "down_proj"))]:
        count, width, rows = state[name].shape
        blocks = torch.randint(0, 256, (count, rows, width // 32, 16), dtype=torch.uint8, generator=generator)
        scales = torch.randint(120, 126, (count, rows, width // 32), dtype=torch.uint8, generator=generator)
        packed |= {f"{name}_blocks": blocks, f"{name}_scales": scales}
        state[name] = convert_moe_packed_tensors(blocks.clone(), scales.clone(), dtype=torch.float32)
    stored = changed(
        folder,
        tmp_path / "packed",
        lambda saved: {k: v for k, v in saved.items() if k in state and f"{k}_blocks" not in packed} | packed,
    )
    restored = transformers.GptOssForCausalLM._from_config(model.config, attn_implementation="eager").eval()
    restored.load_state_dict(state)
    wanted = transformers_logits(restored)
    assert np.abs(logits(stored) - wanted).max() <= _CLOSE * np.abs(wanted).max()


def test_a_scale_that_stands_for_nan_is_damage(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    scales = torch.tensor([[127], [255]], dtype=torch.uint8)
    save_file({"blocks": torch.zeros(2, 1, 16, dtype=torch.uint8), "scales": scales}, file)
    stored = {tensor.name: tensor for tensor in weights.tensors(file)}
    matrix = Mxfp4("w", stored["blocks"], stored["scales"])
    assert np.array_equal(matrix.rows(0, 1), np.zeros((1, 32)))
    with pytest.raises(DamagedWeights, match="NaN"):
        matrix.rows(0, 2)


def test_experts_that_no_token_chooses_are_not_read(family: Family) -> None:
    folder = family("mixtral")[0]
    experts = Checkpoint(folder, describe(config_of(folder))).experts(0)
    assert experts is not None
    read: list[str] = []

    def product(x: np.ndarray, matrix: Any) -> np.ndarray:
        read.append(matrix.name)
        return np.asarray(x @ matrix.rows(0, matrix.shape[0]).T)

    x = np.random.default_rng(1).standard_normal((1, 1, 64)).astype(np.float32)
    mixed(x, x, 0, experts, product, lambda name, x: None)
    assert len(read) == 1 + 2 * 2  # the router's, and two of two experts


def test_one_expert_that_is_missing(family: Family, tmp_path: Path) -> None:
    last = "model.layers.0.block_sparse_moe.experts.3.w2.weight"
    folder = changed(
        family("mixtral")[0], tmp_path / "less", lambda saved: {k: v for k, v in saved.items() if k != last}
    )
    with pytest.raises(DamagedWeights, match=r"experts\.3\.w2"):
        Checkpoint(folder, describe(config_of(folder))).check()


def test_more_experts_than_the_config_has(family: Family, tmp_path: Path) -> None:
    folder = shutil.copytree(family("mixtral")[0], tmp_path / "more")
    (folder / "config.json").write_text(json.dumps({**config_of(folder), "num_local_experts": 3}))
    with pytest.raises(DamagedWeights, match="has no place for"):
        Checkpoint(folder, describe(config_of(folder)))


def test_another_activation_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="experts with the activation 'gelu'"):
        describe({"model_type": "mixtral", "hidden_act": "gelu"})
