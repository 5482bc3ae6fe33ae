"""OLMo (Groeneveld et al. 2024): LLaMA with LayerNorm that has no weight, and q, k, v kept within clip_qkv."""

from __future__ import annotations

from edgepack.decoders import Decoder, Norm
from edgepack.decoders.families._common import Config, attention_biases, cap, llama_like

DEFAULTS = {
    "vocab_size": 50_304, "hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": None, "hidden_act": "silu", "max_position_embeddings": 2048,
    "tie_word_embeddings": False, "attention_bias": False, "clip_qkv": None,
}  # fmt: skip
_EPSILON = 1e-5  # of the class


def describe(config: Config) -> Decoder:
    """Describe OLMo 1."""
    return llama_like(
        config,
        norm=Norm(kind="layer", epsilon=_EPSILON, plain=True),
        clip=cap(config, "clip_qkv"),
        biases=attention_biases(config),
    )
