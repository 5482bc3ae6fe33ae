"""Mistral (Jiang et al. 2023): LLaMA with a window."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders.families._common import Config, llama_like, window

DEFAULTS = {
    "vocab_size": 32_000, "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 131_072,
    "rms_norm_eps": 1e-6, "tie_word_embeddings": False, "head_dim": None, "sliding_window": 4096,
}  # fmt: skip


def describe(config: Config) -> Decoder:
    """Describe Mistral: every layer looks back at sliding_window tokens, where there is one."""
    width = window(config)
    return llama_like(config, windows=(width,) * config.integer("num_hidden_layers") if width else ())
