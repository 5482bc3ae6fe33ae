"""Helium 1 (Kyutai): LLaMA whose rotary pairs are neighbours."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders.families._common import Config, biases, llama_like

DEFAULTS = {
    "vocab_size": 48_000, "hidden_size": 2560, "intermediate_size": 7040, "num_hidden_layers": 24,
    "num_attention_heads": 20, "num_key_value_heads": 20, "head_dim": 128, "hidden_act": "silu",
    "max_position_embeddings": 4096, "rms_norm_eps": 1e-8, "tie_word_embeddings": False, "attention_bias": False,
    "mlp_bias": False,
}  # fmt: skip
_THETA = 100_000.0


def describe(config: Config) -> Decoder:
    """Describe Helium, where attention_bias holds for q, k and v alone."""
    feed_forward = config.flag("mlp_bias")
    return llama_like(
        config,
        theta=_THETA,
        pairs="neighbours",
        biases=biases(qkv=config.flag("attention_bias"), gate_up=feed_forward, down=feed_forward),
    )
