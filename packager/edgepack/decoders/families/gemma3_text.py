"""Gemma 3, text: as Gemma 2 with norms of queries and keys instead of caps, and two rotary embeddings."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder
from edgepack.decoders._rope import THETA, by_kind
from edgepack.decoders.families import gemma2
from edgepack.decoders.families._common import Change, Config, window, windows

DEFAULTS = {
    **gemma2.DEFAULTS, "vocab_size": 262_208, "max_position_embeddings": 131_072, "final_logit_softcapping": None,
    "attn_logit_softcapping": None, "use_bidirectional_attention": False,
}  # fmt: skip
# _sliding_window_pattern stands beside layer_types, which it was made into
IRRELEVANT = (*gemma2.IRRELEVANT, "_sliding_window_pattern")
NAMES = replace(gemma2.NAMES, query_norm="layers.{i}.self_attn.q_norm", key_norm="layers.{i}.self_attn.k_norm")
_PATTERN = 6  # every sixth layer sees everything
_GLOBAL_THETA = 1_000_000.0


def describe(config: Config) -> Decoder:
    """Describe Gemma 3. Layers with a window turn by a table of their own, rope_parameters.sliding_attention."""
    return changed(config)


def changed(config: Config, **changes: Change) -> Decoder:
    """Return the description with ``changes``."""
    layers = config.integer("num_hidden_layers")
    pattern = config.integer("sliding_window_pattern") if "sliding_window_pattern" in config else _PATTERN
    usual = tuple((i + 1) % pattern > 0 for i in range(layers))
    head = config.integer("head_dim")
    theta, local_theta = config.get("rope_theta", _GLOBAL_THETA), config.get("rope_local_base_freq", THETA)
    full, local = by_kind(config, head, full=theta, local=local_theta)
    return gemma2.capped(
        config,
        **{"names": NAMES, "windows": windows(config, layers, window(config), usual)} | changes,
        attention_cap=0.0,  # transformers has attn_logit_softcapping in the class, and applies it in Gemma 2 alone
        rotary=full,
        local_rotary=local,
    )
