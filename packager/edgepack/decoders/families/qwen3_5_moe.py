"""Qwen 3.5 with experts as it is published with its vision tower: the language model alone is built."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders.families import qwen3_5, qwen3_5_moe_text
from edgepack.decoders.families._common import Config

DEFAULTS = qwen3_5.DEFAULTS
IRRELEVANT = (*qwen3_5.IRRELEVANT, *qwen3_5_moe_text.IRRELEVANT)
NEUTRAL = qwen3_5.NEUTRAL


def describe(config: Config) -> Decoder:
    """Describe the model of text_config; the head is tied where config.json itself says so."""
    text = config.part("text_config", qwen3_5_moe_text.DEFAULTS)
    text.ignore("tie_word_embeddings")
    return qwen3_5_moe_text.changed(text, model_type="qwen3_5_moe", tied=config.flag("tie_word_embeddings"))
