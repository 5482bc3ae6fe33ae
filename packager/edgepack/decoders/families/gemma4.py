"""Gemma 4 as it is published with towers for images and sounds: the language model alone is built."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders.families import gemma4_text
from edgepack.decoders.families._common import Config

_STRANGERS = {"image_token_id": 258_880, "video_token_id": 258_884, "audio_token_id": 258_881}
DEFAULTS = {"tie_word_embeddings": True, **_STRANGERS}
IRRELEVANT = (
    *gemma4_text.IRRELEVANT, "vision_config", "audio_config", "boi_token_id", "eoi_token_id", "boa_token_id",
    "eoa_token_id", "eoa_token_index", "vision_soft_tokens_per_image", "audio_ms_per_token",
)  # fmt: skip


def describe(config: Config) -> Decoder:
    """Describe the model of text_config; the head is tied where config.json itself says so.

    The tokens of images and sounds are read as the padding is, which transformers puts in their place.
    """
    text = config.part("text_config", {**gemma4_text.DEFAULTS, "pad_token_id": 0})
    text.ignore("tie_word_embeddings")
    strangers = [config.maybe(key) for key in _STRANGERS]
    return gemma4_text.changed(
        text,
        model_type="gemma4",
        tied=config.flag("tie_word_embeddings"),
        strangers=tuple(dict.fromkeys(token for token in strangers if token is not None)),
        padding=text.integer("pad_token_id"),
    )
