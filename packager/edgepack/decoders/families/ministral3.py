"""Ministral 3 (Mistral): Mistral whose queries grow beyond the length that YaRN starts from."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder
from edgepack.decoders._rope import rotary, scaling_table
from edgepack.decoders.families._common import Config, llama_like, window
from edgepack.decoders.settings import Settings

DEFAULTS = {
    "vocab_size": 131_072, "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 34,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "hidden_act": "silu",
    "max_position_embeddings": 262_144, "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "sliding_window": None,
}  # fmt: skip
_ROPE = {
    "type": "yarn", "rope_theta": 1_000_000.0, "factor": 16.0, "original_max_position_embeddings": 16_384,
    "beta_fast": 32.0, "beta_slow": 1.0, "mscale_all_dim": 1.0, "mscale": 1.0, "llama_4_scaling_beta": 0.1,
}  # fmt: skip
_BETA, _TRAINED = "llama_4_scaling_beta", "original_max_position_embeddings"


def describe(config: Config) -> Decoder:
    """Describe Ministral 3, with a context that stops where llama_4_scaling_beta would begin to change the queries."""
    made = llama_like(config, rotary=None)
    table = scaling_table(config) or Settings(_ROPE)
    turning = rotary(config, made.head_dim, absent=_ROPE)
    table.ignore("max_position_embeddings")  # beside the one that is read
    scaling = {**turning.scaling, _BETA: table.real(_BETA)}
    width = window(config)
    return replace(
        made,
        rotary=replace(turning, scaling=scaling, trained=table.integer(_TRAINED)),
        windows=(width,) * made.layers if width else (),
    )
