"""Mixtral (Jiang et al. 2024): Mistral with experts."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders.families import _experts
from edgepack.decoders.families._common import Config

DEFAULTS = {
    "vocab_size": 32_000, "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 131_072,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "head_dim": None, "sliding_window": None,
    "num_experts_per_tok": 2, "num_local_experts": 8,
}  # fmt: skip
ALIASES = {"num_experts": "num_local_experts"}
IRRELEVANT = _experts.IRRELEVANT
_THETA = 1_000_000.0
_FORMS = (_experts.each("block_sparse_moe", "gate", "w1", "w3", "w2"), _experts.together("mlp", "gate"))


def describe(config: Config) -> Decoder:
    """Describe Mixtral: every layer has experts, each as wide as intermediate_size."""
    experts = _experts.as_wide_as_usual(config, _FORMS)
    return _experts.everywhere_windowed(config, theta=_THETA, experts=experts)
