"""Granite 3 (IBM): LLaMA with four multipliers."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders.families._common import Change, Config, above_zero, attention_biases, biases, llama_like

DEFAULTS = {
    "vocab_size": 32_000, "hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": None, "hidden_act": "silu", "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6, "tie_word_embeddings": False, "attention_bias": False, "mlp_bias": False,
    "embedding_multiplier": 1.0, "logits_scaling": 1.0, "residual_multiplier": 1.0, "attention_multiplier": 1.0,
}  # fmt: skip


def describe(config: Config) -> Decoder:
    """Describe Granite: attention_multiplier is the scale of the scores, logits_scaling what logits are divided by."""
    feed_forward = config.flag("mlp_bias")
    return multiplied(config, biases=attention_biases(config) | biases(gate_up=feed_forward, down=feed_forward))


def multiplied(config: Config, **changes: Change) -> Decoder:
    """Return LLaMA with Granite's multipliers, and ``changes``."""
    return llama_like(
        config,
        embedding_scale=config.real("embedding_multiplier"),
        branch_scale=config.real("residual_multiplier"),
        scale=above_zero(config, "attention_multiplier"),
        logits_scale=1 / above_zero(config, "logits_scaling"),
        **changes,
    )
