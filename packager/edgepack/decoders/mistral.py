"""Mistral (Jiang et al. 2023): LLaMA with a window."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders._common import Config, llama_like, windows


def describe(config: Config) -> Decoder:
    """Every layer looks back at sliding_window tokens, where there is one."""
    return llama_like(config, windows=windows(config, int(config["num_hidden_layers"])))
