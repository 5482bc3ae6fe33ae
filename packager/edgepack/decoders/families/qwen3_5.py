"""Qwen 3.5 as it is published with its vision tower: the language model alone is built."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders.families import qwen3_5_text
from edgepack.decoders.families._common import Config

DEFAULTS = {"tie_word_embeddings": False}
IRRELEVANT = (
    *qwen3_5_text.IRRELEVANT, "vision_config", "image_token_id", "video_token_id", "vision_start_token_id",
    "vision_end_token_id", "language_model_only",
)  # fmt: skip
NEUTRAL = qwen3_5_text.NEUTRAL


def describe(config: Config) -> Decoder:
    """Describe the model of text_config; the head is tied where config.json itself says so."""
    text = config.part("text_config", qwen3_5_text.DEFAULTS)
    text.ignore("tie_word_embeddings")
    return qwen3_5_text.changed(text, model_type="qwen3_5", tied=config.flag("tie_word_embeddings"))
