"""Gemma 3, text: as Gemma 2 with norms of queries and keys instead of caps, and two rotary embeddings."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder, Rotary, gemma2
from edgepack.decoders._common import Config, rotary, windows

_NAMES = replace(gemma2.NAMES, query_norm="layers.{i}.self_attn.q_norm", key_norm="layers.{i}.self_attn.k_norm")
_PATTERN = 6  # every sixth layer sees everything


def describe(config: Config) -> Decoder:
    """Layers with a window turn with rope_local_base_freq, unscaled."""
    layers = int(config["num_hidden_layers"])
    made = gemma2.describe(config)
    pattern = int(config.get("sliding_window_pattern") or _PATTERN)
    return replace(
        made,
        names=_NAMES,
        windows=windows(
            {"sliding_window": 4096, **config}, layers, usual=tuple(int((i + 1) % pattern > 0) for i in range(layers))
        ),
        rotary=rotary(config, made.head, base=1_000_000.0),
        local_rotary=Rotary(base=float(config.get("rope_local_base_freq") or 10_000.0), width=made.head),
    )
