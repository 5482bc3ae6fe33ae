"""Qwen 3.5, text: linear attention in most layers, attention with a gate in the others."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders.families import _linear
from edgepack.decoders.families._common import Change, Config

DEFAULTS = {
    **_linear.DEFAULTS, "vocab_size": 248_320, "hidden_size": 4096, "intermediate_size": 12_288,
    "num_hidden_layers": 32, "num_key_value_heads": 4,
}  # fmt: skip
# Positions of an image in three directions: of a text all three are the same.
IRRELEVANT = (*_linear.IRRELEVANT, "mrope_section", "mrope_interleaved")
NEUTRAL = _linear.NEUTRAL
LINEAR = _linear.names(("in_proj_qkv", "in_proj_z"), ("in_proj_b", "in_proj_a"))


def describe(config: Config) -> Decoder:
    """Describe Qwen 3.5. Raises UnsupportedModel, ModelError."""
    return changed(config)


def changed(config: Config, **changes: Change) -> Decoder:
    """Return the description with ``changes``."""
    return _linear.gated(config, LINEAR, **changes)
