"""Gemma 3 as it is published with its picture tower: the language model alone is packed."""

from __future__ import annotations

from edgepack.decoders import Decoder, gemma3_text
from edgepack.decoders._common import Config


def describe(config: Config) -> Decoder:
    """The numbers of text_config."""
    return gemma3_text.describe({"model_type": "gemma3", **config["text_config"]})
