"""Language models' tensors are all accounted for: prefixes of training tools, heads, buffers, strangers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from edgepack.decoders import describe
from edgepack.decoders.checkpoint import Checkpoint
from edgepack.errors import DamagedWeights, ModelError, UnsupportedModel
from edgepack.original.decoder import Reference

IDS = np.random.default_rng(0).integers(0, 100, (2, 11))
HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"


def make(folder: Path, **options: Any) -> Any:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        **{
            "vocab_size": 100, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": False, "initializer_range": 0.2,
            **options,
        }
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    model.save_pretrained(folder)
    return model.eval()


def opened(folder: Path) -> Checkpoint:
    return Checkpoint(folder, describe(json.loads((folder / "config.json").read_text())))


def logits(folder: Path) -> np.ndarray:
    return Reference(opened(folder)).logits(IDS)


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    file = folder / "model.safetensors"
    save_file({name: tensor.clone() for name, tensor in change(load_file(file)).items()}, file)


WRAPPED: list[tuple[Callable[[str], str], str]] = [
    (lambda n: f"_orig_mod.{n}", "_orig_mod."),
    (lambda n: f"module.{n}", "module."),
    (lambda n: f"base_model.model.{n}", "base_model.model."),
    (lambda n: f"pretrained_model.{n}", "pretrained_model."),
    (lambda n: f"policy.{n}", "policy."),
    (lambda n: f"model.{n}", "model."),
    (lambda n: n.replace("layers.0.", "layers.0._orig_mod."), "_orig_mod."),
    (lambda n: n.replace("mlp.", "_checkpoint_wrapped_module.mlp."), "_checkpoint_wrapped_module."),
]


@pytest.mark.parametrize(("rename", "prefix"), WRAPPED)
def test_wrappers_are_named_and_the_hint_takes_them_off(
    rename: Callable[[str], str], prefix: str, tmp_path: Path
) -> None:
    make(tmp_path)
    wanted = logits(tmp_path)
    rewrite(tmp_path, lambda tensors: {rename(name): tensor for name, tensor in tensors.items()})
    with pytest.raises(ModelError, match=f"carry '{prefix}'") as raised:
        opened(tmp_path)
    script = raised.value.hint.split('python -c "')[1].split('"')[0]
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    np.testing.assert_array_equal(logits(tmp_path), wanted)


def test_two_wrappers_are_taken_off_one_by_one(tmp_path: Path) -> None:
    make(tmp_path)
    rewrite(tmp_path, lambda tensors: {f"module._orig_mod.{name}": tensor for name, tensor in tensors.items()})
    with pytest.raises(ModelError, match=r"carry '_orig_mod\.'"):
        opened(tmp_path)


def test_names_without_the_class_prefix(tmp_path: Path) -> None:
    """transformers adds it, and so do we."""
    make(tmp_path)
    wanted = logits(tmp_path)
    rewrite(tmp_path, lambda tensors: {name.removeprefix("model."): tensor for name, tensor in tensors.items()})
    np.testing.assert_array_equal(logits(tmp_path), wanted)


@pytest.mark.parametrize(
    ("rename", "said"),
    [
        (lambda n: f"student.{n}" if n != EMBEDDING else n, "student"),
        (lambda n: n.replace("embed_tokens", "tok_embeddings"), "lack 'model.embed_tokens.weight'"),
        (lambda n: n.replace("layers.1.", "layers.2."), "more than the 2 layers"),
    ],
)
def test_other_names_are_refused(rename: Callable[[str], str], said: str, tmp_path: Path) -> None:
    make(tmp_path)
    rewrite(tmp_path, lambda tensors: {rename(name): tensor for name, tensor in tensors.items()})
    with pytest.raises(DamagedWeights, match=said):
        opened(tmp_path)


@pytest.mark.parametrize(
    "name", ["model.layers.0.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq", "v_head.summary.weight"]
)
def test_tensors_that_change_nothing(name: str, tmp_path: Path) -> None:
    make(tmp_path)
    wanted = logits(tmp_path)
    rewrite(tmp_path, lambda tensors: {**tensors, name: torch.ones(4)})
    np.testing.assert_array_equal(logits(tmp_path), wanted)


@pytest.mark.parametrize(
    "name",
    [
        "model.layers.0.self_attn.q_norm.weight",
        "model.layers.0.mlp.experts.0.gate_proj.weight",
        "model.layers.0.self_attn.q_proj.lora_extra",
        "mtp.layers.0.weight",
        "vision_model.patch.weight",
        "lm_head2.weight",
    ],
)
def test_tensors_without_a_place(name: str, tmp_path: Path) -> None:
    make(tmp_path)
    rewrite(tmp_path, lambda tensors: {**tensors, name: torch.ones(4)})
    with pytest.raises(DamagedWeights, match=name):
        opened(tmp_path)


def test_an_adapter_that_is_not_merged(tmp_path: Path) -> None:
    make(tmp_path)
    rewrite(tmp_path, lambda t: {**t, "model.layers.0.self_attn.q_proj.lora_A.default.weight": torch.ones(4, 32)})
    with pytest.raises(UnsupportedModel, match="not merged"):
        opened(tmp_path)


@pytest.mark.parametrize("change", [0.0, 0.5])
def test_a_head_beside_a_tied_embedding(change: float, tmp_path: Path) -> None:
    """Equal to the embedding it is the embedding; else transformers keeps it, and so do we."""
    make(tmp_path, tie_word_embeddings=True)
    rewrite(tmp_path, lambda tensors: {**tensors, HEAD: tensors[EMBEDDING] + change})
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    with torch.no_grad():
        wanted = model(torch.from_numpy(IDS)).logits.numpy()
    assert np.abs(logits(tmp_path) - wanted).max() < 1e-4 * np.abs(wanted).max()
    assert opened(tmp_path).decoder.tied == (change == 0)


def test_old_buffers_of_gpt2(tmp_path: Path) -> None:
    config = transformers.GPT2Config(
        vocab_size=100, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    old = {"transformer.h.0.attn.bias": torch.ones(1, 1, 64, 64), "transformer.h.0.attn.masked_bias": torch.ones(())}
    rewrite(tmp_path, lambda tensors: {**tensors, **old})
    assert opened(tmp_path).decoder.layers == 2
