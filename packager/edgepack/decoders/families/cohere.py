"""Command R (Cohere): both branches read one LayerNorm without bias; rotary pairs are neighbours, logits are scaled."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder
from edgepack.decoders.families._common import (
    LLAMA,
    Change,
    Config,
    above_zero,
    attention_biases,
    layer_norm,
    llama_like,
)

DEFAULTS = {
    "vocab_size": 256_000, "hidden_size": 8192, "intermediate_size": 22_528, "logit_scale": 0.0625,
    "num_hidden_layers": 40, "num_attention_heads": 64, "num_key_value_heads": None, "hidden_act": "silu",
    "max_position_embeddings": 8192, "layer_norm_eps": 1e-5, "tie_word_embeddings": True, "attention_bias": False,
    "use_qk_norm": False,
}  # fmt: skip
NAMES = replace(LLAMA, norm2="")
_THETA = 500_000.0


def describe(config: Config) -> Decoder:
    """Describe Cohere: each head has a norm of its own where use_qk_norm says so."""
    names = NAMES
    if config.flag("use_qk_norm"):
        names = replace(names, query_norm="layers.{i}.self_attn.q_norm", key_norm="layers.{i}.self_attn.k_norm")
    return shared(config, theta=_THETA, names=names, head_norm="own")


def shared(config: Config, *, theta: float, **changes: Change) -> Decoder:
    """Return what all of Cohere's models have, and ``changes``."""
    return llama_like(
        config,
        theta=theta,
        norm=layer_norm(config, "layer_norm_eps"),
        parallel=True,
        pairs="neighbours",
        logits_scale=above_zero(config, "logit_scale"),
        biases=attention_biases(config),
        **changes,
    )
