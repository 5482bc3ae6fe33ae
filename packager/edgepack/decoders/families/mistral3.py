"""Mistral Small 3.1 and Ministral 3 as they are published with Pixtral's tower: the language model alone is built."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder
from edgepack.decoders.families import ministral3, mistral
from edgepack.decoders.families._common import Config
from edgepack.decoders.settings import SUPPORTED
from edgepack.errors import UnsupportedModel

DEFAULTS = {"tie_word_embeddings": True}
IRRELEVANT = (
    "vision_config", "image_token_index", "image_token_id", "projector_hidden_act", "vision_feature_layer",
    "multimodal_projector_bias", "spatial_merge_size",
)  # fmt: skip
_FAMILIES = {"mistral": mistral, "ministral3": ministral3}


def describe(config: Config) -> Decoder:
    """Describe the model of text_config, which is a Mistral or a Ministral 3; config.json itself says whether the head
    is tied. Raises UnsupportedModel for text parts of other types.
    """
    stated = config.get("text_config")
    kind = str(stated.get("model_type", "mistral")) if isinstance(stated, Config) else "mistral"
    if kind not in _FAMILIES or stated is None:
        raise UnsupportedModel(f"mistral3 with a text part of the type {kind!r} is not supported", hint=SUPPORTED)
    family = _FAMILIES[kind]
    text = config.part("text_config", family.DEFAULTS)
    text.ignore("tie_word_embeddings")
    made: Decoder = family.describe(text)
    return replace(made, model_type="mistral3", tied=config.flag("tie_word_embeddings"))
