"""LLaMA 1, 2 and 3, TinyLlama, SmolLM (Touvron et al. 2023)."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders._common import Config, llama_like


def describe(config: Config) -> Decoder:
    """As the config says."""
    return llama_like(config)
