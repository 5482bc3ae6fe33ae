"""Ministral 8B (Mistral): Mistral with a window in some layers."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders.families import mistral
from edgepack.decoders.families._common import Config, llama_like, window, windows

DEFAULTS = {**mistral.DEFAULTS, "layer_types": None}


def describe(config: Config) -> Decoder:
    """Describe Ministral: all layers have the window where layer_types says nothing."""
    layers, width = config.integer("num_hidden_layers"), window(config)
    return llama_like(config, windows=windows(config, layers, width, (width is not None,) * layers))
