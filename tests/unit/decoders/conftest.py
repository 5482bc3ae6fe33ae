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

from edgepack.original.oracle.models import attention, saved_buffers

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

_KINDS = ["sliding_attention", "full_attention"]
_GEMMA4: dict[str, Any] = {  # E2B's and E4B's form
    **_SMALL, "num_hidden_layers": 6, "head_dim": 16, "global_head_dim": 32, "sliding_window": 6,
    "layer_types": _KINDS * 3, "num_kv_shared_layers": 3, "use_double_wide_mlp": True,
    "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 160, "final_logit_softcapping": 30.0,
}  # fmt: skip

_LFM2: dict[str, Any] = {
    **_SMALL, "num_hidden_layers": 5, "layer_types": ["conv", "conv", "full_attention", "conv", "full_attention"],
    "block_multiple_of": 32,
}  # fmt: skip

_QWEN35: dict[str, Any] = {
    **_SMALL, "num_hidden_layers": 4, "head_dim": 64, "full_attention_interval": 3, "linear_num_key_heads": 2,
    "linear_num_value_heads": 4, "linear_key_head_dim": 16, "linear_value_head_dim": 24,
}  # fmt: skip

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
    "gemma4_text": ("Gemma4", _GEMMA4),
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
_BASE: dict[str, Any] = {key: _SMALL[key] for key in ("vocab_size", "hidden_size", "num_attention_heads")} | {
    "num_hidden_layers": 2, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
_HALF: dict[str, Any] = {**_SMALL, "partial_rotary_factor": 0.5}
# families that are compared as FAMILIES are, without a whole build for each: their parts are those of the first ones
MORE: dict[str, tuple[str, dict[str, Any]]] = {
    "smollm3": ("SmolLM3", {**_SMALL, "no_rope_layers": [1, 0, 1], "use_sliding_window": True, "sliding_window": 6}),
    "olmo": ("Olmo", {**_SMALL, "clip_qkv": 2.0}),
    "olmo3": ("Olmo3", {**_SMALL, "num_hidden_layers": 4, "sliding_window": 6}),
    "granite": (
        "Granite",
        {
            **_SMALL,
            "embedding_multiplier": 12.0,
            "logits_scaling": 8.0,
            "residual_multiplier": 0.25,
            "attention_multiplier": 0.125,
        },
    ),
    "stablelm": ("StableLm", {**_HALF, "use_parallel_residual": True, "qk_layernorm": True}),
    "phi": ("Phi", {**_HALF, "qk_layernorm": True, "num_key_value_heads": 4}),
    "cohere": ("Cohere", {**_SMALL, "use_qk_norm": True}),
    "nemotron": ("Nemotron", _SMALL),
    "gemma4_text:dense": (  # 31B's
        "Gemma4",
        {
            **_GEMMA4,
            "num_kv_shared_layers": 0,
            "hidden_size_per_layer_input": 0,
            "attention_k_eq_v": True,
            "num_global_key_value_heads": 1,
        },
    ),
    "gemma3n_text": (
        "Gemma3n",
        {
            **_SMALL,
            "num_hidden_layers": 5,
            "head_dim": 16,
            "sliding_window": 6,
            "num_kv_shared_layers": 2,
            "layer_types": ["sliding_attention", "full_attention", "full_attention", *_KINDS],
            "intermediate_size": [96, 64, 64, 64, 96],
            "activation_sparsity_pattern": [0.9, 0.4, 0.0, 0.0, 0.0],
            "hidden_size_per_layer_input": 8,
            "vocab_size_per_layer_input": 150,
            "laurel_rank": 8,
            "altup_num_inputs": 3,
            "altup_active_idx": 1,
        },
    ),
    "lfm2": ("Lfm2", _LFM2),
    "lfm2:biased": ("Lfm2", {**_LFM2, "conv_bias": True, "conv_L_cache": 4, "block_auto_adjust_ff_dim": False}),
    "qwen3_5_text": ("Qwen3_5", _QWEN35),
    "qwen3_5_text:placed": ("Qwen3_5", {**_QWEN35, "head_dim": 32, "linear_conv_kernel_dim": 2}),
    "hunyuan_v1_dense": ("HunYuanDenseV1", {**_SMALL, "head_dim": 16}),
    "apertus": ("Apertus", _SMALL),
    "nanochat": ("NanoChat", _SMALL),
    "nanochat:yarn": ("NanoChat", {**_SMALL, "rope_parameters": {"rope_type": "yarn", "factor": 4.0}}),
    "codegen": ("CodeGen", {**_GPT2, "rotary_dim": 8}),
    "opt": ("OPT", {**_BASE, "ffn_dim": 96, "max_position_embeddings": 64}),
    "opt:sums": (
        "OPT",
        {
            **_BASE,
            "ffn_dim": 96,
            "max_position_embeddings": 64,
            "do_layer_norm_before": False,
            "word_embed_proj_dim": 48,
        },
    ),
    "falcon": ("Falcon", {**_BASE, "num_kv_heads": 2, "new_decoder_architecture": True}),
    "bloom": ("Bloom", {**_BASE, "num_attention_heads": 4}),
    "llama:heads of 20": ("Llama", {**_SMALL, "head_dim": 20}),
    "olmo2": ("Olmo2", _SMALL),
    "starcoder2": ("Starcoder2", {**_SMALL, "sliding_window": 6}),
    "glm": ("Glm", {**_SMALL, "head_dim": 16}),
    "glm4": ("Glm4", {**_SMALL, "head_dim": 16}),
    "cohere2": ("Cohere2", {**_SMALL, "num_hidden_layers": 4, "sliding_window": 6}),
    "exaone4": ("Exaone4", {**_SMALL, "num_hidden_layers": 4, "sliding_window": 6}),
    "ernie4_5": ("Ernie4_5", {**_SMALL, "head_dim": 16, "use_bias": True}),
    "arcee": ("Arcee", _SMALL),
    "helium": ("Helium", {**_SMALL, "head_dim": 16}),
    "seed_oss": ("SeedOss", {**_SMALL, "head_dim": 16, "attention_out_bias": True}),
    "ministral": (
        "Ministral",
        {**_SMALL, "head_dim": 16, "sliding_window": 6, "layer_types": ["sliding_attention"] + ["full_attention"] * 2},
    ),
    "ministral3": ("Ministral3", {**_SMALL, "head_dim": 16}),
    "gptj": ("GPTJ", {**_GPT2, "rotary_dim": 8}),
    "gpt_bigcode": ("GPTBigCode", _GPT2),
    "gpt_bigcode:heads": ("GPTBigCode", {**_GPT2, "multi_query": False}),
    "falcon:old": ("Falcon", {**_BASE, "bias": True}),
    "falcon:serial": ("Falcon", {**_BASE, "multi_query": False, "parallel_attn": False}),
    "falcon:alibi": (
        "Falcon",
        {**_BASE, "num_attention_heads": 4, "multi_query": False, "bias": True, "parallel_attn": False, "alibi": True},
    ),
    "mpt": ("Mpt", {"vocab_size": 160, "d_model": 96, "n_heads": 6, "n_layers": 2, "max_seq_len": 64}),
    "stablelm:serial": ("StableLm", {**_HALF, "use_qkv_bias": True}),
    "gpt2:inverse": ("GPT2", {**_GPT2, "scale_attn_by_inverse_layer_idx": True}),
    "llama:dynamic": ("Llama", {**_SMALL, "rope_scaling": {"rope_type": "dynamic", "factor": 4.0}}),
    "qwen3:heads of 24": ("Qwen3", {**_SMALL, "head_dim": 24}),
}
# families of experts, which are compared with transformers in the same ways
EXPERTS: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen3_moe": (
        "Qwen3Moe",
        {
            **_SMALL, "head_dim": 16, "num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
            "norm_topk_prob": True, "mlp_only_layers": [1],
        },
    ),
    "qwen3_moe:unnormed": (
        "Qwen3Moe", {**_SMALL, "head_dim": 16, "num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 48}
    ),
    "gemma4_text:experts": (  # 26B-A4B's
        "Gemma4",
        {
            **_GEMMA4, "num_hidden_layers": 2, "layer_types": _KINDS, "num_kv_shared_layers": 0,
            "hidden_size_per_layer_input": 0, "attention_k_eq_v": True, "num_global_key_value_heads": 1,
            "enable_moe_block": True, "num_experts": 6, "top_k_experts": 2, "moe_intermediate_size": 32,
        },
    ),
    "lfm2_moe": (
        "Lfm2Moe",
        {
            **_SMALL, "num_hidden_layers": 3, "layer_types": ["conv", "full_attention", "conv"], "num_dense_layers": 1,
            "num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "routed_scaling_factor": 2.0,
            "tie_word_embeddings": False,
        },
    ),
    "lfm2_moe:unnormed": (
        "Lfm2Moe",
        {
            **_SMALL, "num_hidden_layers": 2, "layer_types": ["full_attention"] * 2, "num_dense_layers": 0,
            "num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 48, "use_expert_bias": False,
            "norm_topk_prob": False,
        },
    ),
    "qwen3_5_moe_text": (
        "Qwen3_5Moe",
        {
            **_QWEN35, "num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
            "shared_expert_intermediate_size": 24,
        },
    ),
    "qwen3_next": (
        "Qwen3Next",
        {
            **_QWEN35, "linear_value_head_dim": 16, "num_experts": 6, "num_experts_per_tok": 2, "mlp_only_layers": [1],
            "moe_intermediate_size": 32, "shared_expert_intermediate_size": 24, "norm_topk_prob": False,
        },
    ),
    "mixtral": ("Mixtral", {**_SMALL, "num_local_experts": 4, "sliding_window": 7}),
    "granitemoe": (
        "GraniteMoe",
        {
            **_SMALL, "intermediate_size": 48, "num_local_experts": 6, "num_experts_per_tok": 3,
            "embedding_multiplier": 12.0, "logits_scaling": 6.0, "residual_multiplier": 0.25,
            "attention_multiplier": 0.125,
        },
    ),
    "phimoe": (
        "Phimoe",
        {
            **_SMALL, "num_local_experts": 5, "attention_bias": True, "lm_head_bias": True, "router_jitter_noise": 0.3,
            "rope_parameters": {**_LONG, "rope_type": "longrope", "short_mscale": 1.2, "long_mscale": 1.3,
                                "original_max_position_embeddings": 48},
        },
    ),
    "gpt_oss": (
        "GptOss",
        {
            **_SMALL, "head_dim": 16, "num_local_experts": 5, "num_experts_per_tok": 2, "sliding_window": 7,
            "swiglu_limit": 1.5, "rope_parameters": {"rope_type": "yarn", "factor": 4.0, "truncate": False},
        },
    ),
}  # fmt: skip
ALL = FAMILIES | MORE | EXPERTS
WORDS = [f"w{i}" for i in range(160)]
_CLASSES = {"Gemma3": "Gemma3ForCausalLM", "GPT2": "GPT2LMHeadModel"}


def make(name: str, folder: Path) -> tuple[Path, Any]:
    """The folder and the transformers model of a family."""
    kind, numbers = ALL[name]
    config = getattr(transformers, _config(kind))(**numbers)
    torch.manual_seed(7)
    model = (
        getattr(transformers, _CLASSES.get(kind, f"{kind}ForCausalLM"))
        ._from_config(config, attn_implementation=attention(config))
        .eval()
    )
    with torch.no_grad():
        for weight in model.parameters():  # louder than usual, so that every part is heard in the logits
            weight.normal_(0, 0.25).add_(0.5 if weight.ndim == 1 else 0)
        for buffer in saved_buffers(model):
            buffer.normal_(1, 0.1)
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
    if config_of(folder)["model_type"] in ("qwen2", "qwen3_5"):
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
    return f"{kind}TextConfig" if kind in ("Gemma3", "Gemma3n", "Gemma4", "Qwen3_5", "Qwen3_5Moe") else f"{kind}Config"


def config_of(folder: Path) -> dict[str, Any]:
    """config.json."""
    return dict(json.loads((folder / "config.json").read_text("utf-8")))
