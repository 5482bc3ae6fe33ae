"""Seed-OSS (ByteDance): LLaMA with biases of q, k and v."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders.families._common import Config, biases, llama_like

DEFAULTS = {
    "vocab_size": 155_136, "hidden_size": 4096, "intermediate_size": 27_648, "num_hidden_layers": 64,
    "num_attention_heads": 80, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 524_288,
    "rms_norm_eps": 1e-6, "tie_word_embeddings": False, "attention_bias": True, "attention_out_bias": False,
    "mlp_bias": False, "head_dim": 128,
}  # fmt: skip


def describe(config: Config) -> Decoder:
    """Describe Seed-OSS: the output of attention has a switch for its bias of its own."""
    feed_forward = config.flag("mlp_bias")
    stated = biases(
        qkv=config.flag("attention_bias"),
        o_proj=config.flag("attention_out_bias"),
        gate_up=feed_forward,
        down=feed_forward,
    )
    return llama_like(config, biases=stated)
