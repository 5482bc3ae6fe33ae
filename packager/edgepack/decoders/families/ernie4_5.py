"""ERNIE 4.5 (Baidu), dense: LLaMA whose rotary pairs are neighbours."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders.families._common import Config, biases, llama_like

DEFAULTS = {
    "vocab_size": 103_424, "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 18,
    "num_attention_heads": 16, "num_key_value_heads": 2, "hidden_act": "silu", "max_position_embeddings": 131_072,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": True, "use_bias": False, "head_dim": 128,
}  # fmt: skip
_THETA = 500_000.0


def describe(config: Config) -> Decoder:
    """Describe ERNIE 4.5, where use_bias holds for every product."""
    stated = config.flag("use_bias")
    return llama_like(
        config,
        theta=_THETA,
        pairs="neighbours",
        biases=biases(qkv=stated, o_proj=stated, gate_up=stated, down=stated),
    )
