"""Small random models of every family, written by transformers itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

_SMALL: dict[str, Any] = {
    "vocab_size": 160, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
_GPT2: dict[str, Any] = {
    "vocab_size": 160, "n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 64, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
_LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}  # fmt: skip
_LONG = {"type": "longrope", "short_factor": [1.1] * 8, "long_factor": [1.0 + 0.3 * i for i in range(8)]}

# family -> (class, config); a name after the colon is a variant of the family
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", _SMALL),
    "llama:tied": ("Llama", {**_SMALL, "tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}),
    "llama:scaled": ("Llama", {**_SMALL, "rope_scaling": _LLAMA3, "head_dim": 32}),
    "llama:linear": ("Llama", {**_SMALL, "rope_scaling": {"rope_type": "linear", "factor": 2.0}}),
    "llama:yarn": ("Llama", {**_SMALL, "rope_scaling": {"rope_type": "yarn", "factor": 4.0}}),
    "mistral": ("Mistral", {**_SMALL, "sliding_window": 7, "head_dim": 16}),
    "qwen2": ("Qwen2", _SMALL),
    "qwen2:windows": (
        "Qwen2",
        {**_SMALL, "use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1},
    ),
    "qwen3": ("Qwen3", {**_SMALL, "head_dim": 16, "tie_word_embeddings": True}),
    "gemma": ("Gemma", {**_SMALL, "head_dim": 16}),
    "gemma2": ("Gemma2", {**_SMALL, "head_dim": 16, "sliding_window": 6, "query_pre_attn_scalar": 32}),
    "gemma3_text": (
        "Gemma3",
        {
            **_SMALL,
            "head_dim": 16,
            "sliding_window": 6,
            "sliding_window_pattern": 2,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0},
        },
    ),
    "phi3": ("Phi3", _SMALL),
    "phi3:long": (
        "Phi3",
        {**_SMALL, "rope_scaling": _LONG, "original_max_position_embeddings": 32, "sliding_window": 7},
    ),
    "gpt2": ("GPT2", _GPT2),
    "gpt2:plain": ("GPT2", {**_GPT2, "n_inner": 80, "scale_attn_weights": False, "tie_word_embeddings": False}),
    "gpt_neox": ("GPTNeoX", {**_SMALL, "rotary_pct": 0.5}),
    "gpt_neox:serial": ("GPTNeoX", {**_SMALL, "use_parallel_residual": False, "rotary_pct": 1.0}),
}
WORDS = [f"w{i}" for i in range(160)]
_CLASSES = {"Gemma3": "Gemma3ForCausalLM", "GPT2": "GPT2LMHeadModel"}


def make(name: str, folder: Path) -> tuple[Path, Any]:
    """The folder and the transformers model of a family."""
    kind, numbers = FAMILIES[name]
    config = getattr(transformers, _config(kind))(**numbers)
    torch.manual_seed(7)
    # eager: the other attentions of transformers leave out caps and odd scales
    model = (
        getattr(transformers, _CLASSES.get(kind, f"{kind}ForCausalLM"))
        ._from_config(config, attn_implementation="eager")
        .eval()
    )
    with torch.no_grad():
        for weight in model.parameters():  # louder than usual, so that every part is heard in the logits
            weight.normal_(0, 0.25).add_(0.5 if weight.ndim == 1 else 0)
    model.save_pretrained(folder)
    return folder, model


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Any]]:
    """The folder and the transformers model of a family."""
    made: dict[str, tuple[Path, Any]] = {}

    def get(name: str) -> tuple[Path, Any]:
        if name not in made:
            made[name] = make(name, tmp_path_factory.mktemp(name.replace(":", "-")))
        return made[name]

    return get


def with_tokenizer(folder: Path) -> Path:
    """A tokenizer of 160 words beside the weights; for Qwen2 of as many characters.

    transformers opens every tokenizer of Qwen2 as byte-level BPE, whatever its folder says.
    """
    if config_of(folder)["model_type"] == "qwen2":
        letters = [chr(code) for code in range(33, 127)]
        listed = [*WORDS[:3], *letters, "Ġ", "Ċ", *WORDS[3:]][: len(WORDS)]
        tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(listed)}, []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        stated = dict.fromkeys(("unk_token", "eos_token", "pad_token"), "w2")
    else:
        tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="w0"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        stated = {"tokenizer_class": "PreTrainedTokenizerFast"}
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(stated))
    return folder


def _config(kind: str) -> str:
    return "Gemma3TextConfig" if kind == "Gemma3" else f"{kind}Config"


def config_of(folder: Path) -> dict[str, Any]:
    """config.json."""
    return dict(json.loads((folder / "config.json").read_text("utf-8")))
