"""Gemma 1: LLaMA with a scaled embedding, which is the head too, and norms that store w - 1."""

from __future__ import annotations

from edgepack.decoders import Decoder, Norm
from edgepack.decoders.families._common import (
    Change,
    Config,
    activation,
    attention_biases,
    llama_like,
    refuse_bidirectional,
)

DEFAULTS = {
    "vocab_size": 256_000, "hidden_size": 3072, "intermediate_size": 24_576, "num_hidden_layers": 28,
    "num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 256, "hidden_act": "gelu_pytorch_tanh",
    "max_position_embeddings": 8192, "rms_norm_eps": 1e-6, "tie_word_embeddings": True, "attention_bias": False,
    "use_bidirectional_attention": None,
}  # fmt: skip
IRRELEVANT = ("hidden_activation",)  # transformers 4 read it; 5 reads hidden_act


def describe(config: Config) -> Decoder:
    """Describe Gemma. hidden_act "gelu" means the tanh form: the first files say it by mistake."""
    stated = config.text("hidden_act")
    return scaled(config, activation="gelu_tanh" if stated == "gelu" else activation(config, "hidden_act"))


def scaled(config: Config, **changes: Change) -> Decoder:
    """Return LLaMA with Gemma's norms and its embedding times the square root of its width, and ``changes``."""
    refuse_bidirectional(config)
    return llama_like(
        config,
        head_dim=config.integer("head_dim"),
        norm=Norm(kind="rms", epsilon=config.real("rms_norm_eps"), offset=1.0),
        biases=attention_biases(config),
        embedding_scale=float(config.integer("hidden_size")) ** 0.5,
        **changes,
    )
