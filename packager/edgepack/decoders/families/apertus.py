"""Apertus (Swiss AI): LLaMA with one product before xIELU, whose numbers each layer learns, and norms of heads."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder
from edgepack.decoders._rope import rotary
from edgepack.decoders.families._common import LLAMA, Config, activation, attention_biases, llama_like

DEFAULTS = {
    "vocab_size": 131_072, "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": None, "hidden_act": "xielu", "max_position_embeddings": 65_536,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "attention_bias": False,
}  # fmt: skip
NEUTRAL = {"mlp_bias": False, "post_norm": False, "qk_norm": True}
_ROPE = {
    "rope_type": "llama3", "rope_theta": 12_000_000.0, "factor": 8.0, "original_max_position_embeddings": 8192,
    "low_freq_factor": 1.0, "high_freq_factor": 4.0,
}  # fmt: skip
_THETA = 12_000_000.0
_NAMES = replace(
    LLAMA,
    norm1="layers.{i}.attention_layernorm",
    norm2="layers.{i}.feedforward_layernorm",
    gate_up=("layers.{i}.mlp.up_proj",),
    query_norm="layers.{i}.self_attn.q_norm",
    key_norm="layers.{i}.self_attn.k_norm",
)


def describe(config: Config) -> Decoder:
    """Describe Apertus, whose rotary embedding is scaled as LLaMA 3's where config.json says nothing."""
    own = config.text("hidden_act") == "xielu"
    made = llama_like(
        config,
        names=replace(_NAMES, activation="layers.{i}.mlp.act_fn") if own else _NAMES,
        activation="xielu" if own else activation(config, "hidden_act"),
        rotary=None,
        gated=False,
        biases=attention_biases(config),
    )
    return replace(made, rotary=rotary(config, made.head_dim, usual=_THETA, absent=_ROPE))
