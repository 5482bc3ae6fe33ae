"""Gemma 3 as it is published with its vision tower: the language model alone is built."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders.families import gemma3_text
from edgepack.decoders.families._common import Config

DEFAULTS = {"tie_word_embeddings": True}
IRRELEVANT = (
    *gemma3_text.IRRELEVANT, "vision_config", "mm_tokens_per_image", "boi_token_index", "eoi_token_index",
    "image_token_index", "image_token_id", "boi_token_id", "eoi_token_id",
)  # fmt: skip


def describe(config: Config) -> Decoder:
    """Describe the model of text_config; the head is tied where config.json itself says so, and its logits have no
    cap.
    """
    text = config.part("text_config", gemma3_text.DEFAULTS)
    text.ignore("tie_word_embeddings", "final_logit_softcapping")  # read by Gemma3ForCausalLM alone
    return gemma3_text.changed(text, model_type="gemma3", tied=config.flag("tie_word_embeddings"), logits_cap=0.0)
