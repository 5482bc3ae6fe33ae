"""Adapters are merged as PEFT's merge_and_unload does it, and what is not understood is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from edgepack.decoders import describe
from edgepack.decoders.checkpoint import Checkpoint
from edgepack.errors import DamagedWeights, EdgepackError, ModelError, UnsafeModel, UnsupportedModel
from edgepack.original.decoder import Reference
from edgepack.weights.lora import Adapter

Q = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
IDS = np.random.default_rng(0).integers(0, 100, (2, 11))


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A LLaMA and a GPT-2, small and random."""
    root = tmp_path_factory.mktemp("bases")
    torch.manual_seed(0)
    llama = transformers.LlamaConfig(
        vocab_size=100, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=False, initializer_range=0.2,
    )  # fmt: skip
    transformers.LlamaForCausalLM(llama).save_pretrained(root / "llama")
    gpt2 = transformers.GPT2Config(
        vocab_size=100, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2,
        initializer_range=0.2,
    )  # fmt: skip
    transformers.GPT2LMHeadModel(gpt2).save_pretrained(root / "gpt2")
    return {name: root / name for name in ("llama", "gpt2")}


def adapted(base: Path, out: Path, **options: Any) -> Any:
    """A random adapter of ``base`` in ``out``, and PEFT's merged model."""
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    tuned = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", r=4, **options))
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in tuned.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.1)
    tuned.save_pretrained(out)
    return tuned.eval().merge_and_unload()


def logits(base: Path, adapter: Path | None) -> np.ndarray:
    decoder = describe(json.loads((base / "config.json").read_text()))
    return Reference(Checkpoint(base, decoder, adapter)).logits(IDS)


LLAMA: dict[str, dict[str, Any]] = {
    "plain": {"lora_alpha": 16, "target_modules": ["q_proj", "v_proj"]},
    "rslora": {"use_rslora": True, "target_modules": "all-linear"},
    "patterns": {
        "target_modules": ["q_proj", "down_proj"],
        "rank_pattern": {"down_proj": 2},
        "alpha_pattern": {"layers.1.self_attn.q_proj": 3, ".*0.mlp.down_proj": 5},
    },
    "dora": {"use_dora": True, "target_modules": ["q_proj", "down_proj", "o_proj"]},
    "embedding": {"target_modules": ["q_proj", "embed_tokens"]},
    "head": {"target_modules": ["lm_head"]},
    "saved modules": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head", "embed_tokens", "norm"]},
    "one layer": {"target_modules": ["q_proj"], "layers_to_transform": [1]},
}
GPT2: dict[str, dict[str, Any]] = {
    "transposed": {"fan_in_fan_out": True, "target_modules": ["c_attn", "c_proj", "c_fc"], "lora_alpha": 32},
    "biases": {"fan_in_fan_out": True, "target_modules": ["c_attn"], "bias": "all"},
    "transposed dora": {"use_dora": True, "fan_in_fan_out": True, "target_modules": ["c_proj"], "bias": "lora_only"},
    "positions": {"target_modules": ["wpe"]},
}


@pytest.mark.parametrize(("family", "name"), [*(("llama", n) for n in LLAMA), *(("gpt2", n) for n in GPT2)])
@pytest.mark.filterwarnings("ignore")
def test_merged_as_peft_merges(family: str, name: str, bases: dict[str, Path], tmp_path: Path) -> None:
    model = adapted(bases[family], tmp_path, **(LLAMA if family == "llama" else GPT2)[name])
    with torch.no_grad():
        wanted = model(torch.from_numpy(IDS)).logits.numpy()
    found = logits(bases[family], tmp_path)
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()
    assert np.abs(logits(bases[family], None) - wanted).max() > 1e-2  # the adapter does something


@pytest.fixture
def adapter(bases: dict[str, Path], tmp_path: Path) -> Path:
    adapted(bases["llama"], tmp_path, target_modules=["q_proj"])
    return tmp_path


def edit(folder: Path, **values: Any) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


@pytest.mark.parametrize(
    ("values", "kind", "said"),
    [
        ({"peft_type": "IA3"}, UnsupportedModel, "IA3"),
        ({"peft_type": "ADALORA"}, UnsupportedModel, "ADALORA"),
        ({"lora_bias": True}, UnsupportedModel, "lora_bias"),
        ({"layer_replication": [[0, 2], [1, 2]]}, UnsupportedModel, "layer_replication"),
        ({"a_new_setting": 1}, UnsupportedModel, "a_new_setting"),
        ({"init_lora_weights": "pissa"}, UnsupportedModel, "pissa"),
        ({"use_dora": True}, DamagedWeights, "use_dora"),
        ({"r": 8}, DamagedWeights, "rank 4"),
    ],
)
def test_settings_that_are_not_read(
    values: dict[str, Any], kind: type[EdgepackError], said: str, adapter: Path
) -> None:
    edit(adapter, **values)
    with pytest.raises(kind, match=said):
        Adapter.read(adapter)


def change(folder: Path, **tensors: torch.Tensor | None) -> None:
    file = folder / "adapter_model.safetensors"
    kept = {**load_file(file), **tensors}
    save_file({name: tensor for name, tensor in kept.items() if tensor is not None}, file)


def test_half_a_pair(adapter: Path) -> None:
    change(adapter, **{Q: None})
    with pytest.raises(DamagedWeights, match="lacks its half lora_A"):
        Adapter.read(adapter)


def test_a_weight_that_the_model_lacks(adapter: Path, bases: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match="which the model does not have"):
        logits(bases["gpt2"], adapter)
    change(adapter, **{"base_model.model.v_head.weight": torch.zeros(1, 32)})
    with pytest.raises(ModelError, match=r"v_head\.weight"):
        logits(bases["llama"], adapter)


def test_a_shape_that_does_not_fit(adapter: Path, bases: dict[str, Path]) -> None:
    change(adapter, **{Q: torch.zeros(4, 64)})
    with pytest.raises(ModelError, match=r"is for .* \[32, 64\]; the model's is \[32, 32\]"):
        logits(bases["llama"], adapter)


def test_an_embedding_that_is_the_head_too(bases: dict[str, Path], tmp_path: Path) -> None:
    adapted(bases["gpt2"], tmp_path, target_modules=["wte"])
    with pytest.raises(UnsupportedModel, match="embedding and as head"):
        logits(bases["gpt2"], tmp_path)


def test_folders_without_an_adapter(adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a PEFT adapter"):
        Adapter.read(tmp_path / "other")
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(UnsafeModel):
        Adapter.read(adapter)
    (adapter / "adapter_model.bin").unlink()
    with pytest.raises(ModelError, match="adapter_model"):
        Adapter.read(adapter)
