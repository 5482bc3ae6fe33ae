"""LLaMA 1, 2 and 3, TinyLlama, SmolLM (Touvron et al. 2023)."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders.families._common import Config, attention_biases, biases, llama_like

DEFAULTS = {
    "vocab_size": 32_000, "hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": None, "hidden_act": "silu", "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6, "tie_word_embeddings": False, "attention_bias": False, "mlp_bias": False, "head_dim": None,
}  # fmt: skip
IRRELEVANT = ("max_sequence_length", "is_llama_config")  # of converters, beside max_position_embeddings and model_type
NEUTRAL = {"rope_interleaved": False}


def describe(config: Config) -> Decoder:
    """Describe the model as the config says."""
    feed_forward = config.flag("mlp_bias")
    return llama_like(config, biases=attention_biases(config) | biases(gate_up=feed_forward, down=feed_forward))
