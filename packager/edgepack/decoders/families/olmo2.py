"""OLMo 2: LLaMA with norms of the branches in the place of norms in front of them, and of all queries and all keys."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder
from edgepack.decoders.families._common import LLAMA, Change, Config, attention_biases, llama_like

DEFAULTS = {
    "vocab_size": 50_304, "hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": None, "hidden_act": "silu", "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "attention_bias": False,
}  # fmt: skip
NAMES = replace(
    LLAMA,
    norm1="",
    norm2="",
    after_attention="layers.{i}.post_attention_layernorm",
    after_mlp="layers.{i}.post_feedforward_layernorm",
    query_norm="layers.{i}.self_attn.q_norm",
    key_norm="layers.{i}.self_attn.k_norm",
)


def describe(config: Config) -> Decoder:
    """Describe OLMo 2."""
    return changed(config)


def changed(config: Config, **changes: Change) -> Decoder:
    """Return the description with ``changes``."""
    return llama_like(config, names=NAMES, head_norm="joint", biases=attention_biases(config), **changes)
