"""AFM (Arcee): LLaMA with one product before a squared ReLU."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder
from edgepack.decoders.families._common import LLAMA, Config, attention_biases, biases, llama_like

DEFAULTS = {
    "vocab_size": 32_000, "hidden_size": 2560, "intermediate_size": 18_432, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": None, "hidden_act": "relu2", "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "attention_bias": False, "mlp_bias": False, "head_dim": None,
}  # fmt: skip
_NAMES = replace(LLAMA, gate_up=("layers.{i}.mlp.up_proj",))


def describe(config: Config) -> Decoder:
    """Describe AFM."""
    feed_forward = config.flag("mlp_bias")
    return llama_like(
        config,
        names=_NAMES,
        gated=False,
        biases=attention_biases(config) | biases(gate_up=feed_forward, down=feed_forward),
    )
