"""Gemma 3n as it is published with towers for images and sounds: the language model alone is built."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders.families import gemma3n_text
from edgepack.decoders.families._common import Config

DEFAULTS = {"tie_word_embeddings": True}
IRRELEVANT = (
    *gemma3n_text.IRRELEVANT, "vision_config", "audio_config", "boi_token_id", "eoi_token_id", "image_token_id",
    "boa_token_id", "eoa_token_id", "audio_token_id", "audio_soft_tokens_per_image", "vision_soft_tokens_per_image",
)  # fmt: skip


def describe(config: Config) -> Decoder:
    """Describe the model of text_config; the head is tied where config.json itself says so."""
    text = config.part("text_config", gemma3n_text.DEFAULTS)
    text.ignore("tie_word_embeddings")
    return gemma3n_text.changed(text, model_type="gemma3n", tied=config.flag("tie_word_embeddings"))
