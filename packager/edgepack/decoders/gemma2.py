"""Gemma 2: as Gemma, with norms after each branch, caps, and a window in every other layer."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder, gemma
from edgepack.decoders._common import LLAMA, Config, windows

NAMES = replace(
    LLAMA,
    after_attention="layers.{i}.post_attention_layernorm",
    norm2="layers.{i}.pre_feedforward_layernorm",
    after_mlp="layers.{i}.post_feedforward_layernorm",
)


def describe(config: Config) -> Decoder:
    """The scores are scaled by query_pre_attn_scalar."""
    layers = int(config["num_hidden_layers"])
    return replace(
        gemma.describe(config),
        names=NAMES,
        windows=windows({"sliding_window": 4096, **config}, layers, usual=tuple((i + 1) % 2 for i in range(layers))),
        scale=float(config.get("query_pre_attn_scalar") or 256) ** -0.5,
        attention_cap=float(config.get("attn_logit_softcapping") or 0.0),
        logits_cap=float(config.get("final_logit_softcapping") or 0.0),
    )
