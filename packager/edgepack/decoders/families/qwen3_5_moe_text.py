"""Qwen 3.5 with experts, text: as Qwen 3.5, with experts, of which one is shared, in place of feed-forward layers."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders.experts import Experts
from edgepack.decoders.families import _experts, _linear, qwen3_5_text
from edgepack.decoders.families._common import Change, Config
from edgepack.decoders.families.qwen3_moe import FORMS

DEFAULTS = {
    **_linear.DEFAULTS, "vocab_size": 248_320, "hidden_size": 2048, "num_hidden_layers": 40, "num_key_value_heads": 2,
    "moe_intermediate_size": 512, "shared_expert_intermediate_size": 512, "num_experts_per_tok": 8, "num_experts": 256,
}  # fmt: skip
IRRELEVANT = (*qwen3_5_text.IRRELEVANT, *_experts.IRRELEVANT, "intermediate_size")  # of a layer that no model has
NEUTRAL = _linear.NEUTRAL


def describe(config: Config) -> Decoder:
    """Describe Qwen 3.5 with experts. Raises UnsupportedModel, ModelError."""
    return changed(config)


def changed(config: Config, **changes: Change) -> Decoder:
    """Return the description with ``changes``."""
    width = config.integer("moe_intermediate_size")
    experts = Experts(
        count=config.integer("num_experts"),
        chosen=config.integer("num_experts_per_tok"),
        width=width,
        names=FORMS,
        shared=_experts.shared(config.integer("shared_expert_intermediate_size")),
    )
    return qwen3_5_text.changed(config, experts=experts, intermediate=width, **changes)
