"""Nemotron 3 and 4, Minitron (NVIDIA): LayerNorm that stores w - 1, squared ReLU, half of each head turns."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder, Norm
from edgepack.decoders.families._common import LLAMA, Config, attention_biases, biases, llama_like

DEFAULTS = {
    "vocab_size": 256_000, "hidden_size": 6144, "intermediate_size": 24_576, "num_hidden_layers": 32,
    "num_attention_heads": 48, "head_dim": None, "num_key_value_heads": None, "hidden_act": "relu2",
    "max_position_embeddings": 4096, "norm_eps": 1e-5, "tie_word_embeddings": False, "attention_bias": False,
    "mlp_bias": False,
}  # fmt: skip
_NAMES = replace(LLAMA, gate_up=("layers.{i}.mlp.up_proj",))


def describe(config: Config) -> Decoder:
    """Describe Nemotron."""
    feed_forward = config.flag("mlp_bias")
    return llama_like(
        config,
        part=("partial_rotary_factor", 0.5),
        names=_NAMES,
        norm=Norm(kind="layer", epsilon=config.real("norm_eps"), offset=1.0),
        gated=False,
        biases=attention_biases(config) | biases(gate_up=feed_forward, down=feed_forward, norm=True),
    )
