"""Qwen 2 and 2.5: LLaMA with biases of q, k and v."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders.families._common import Change, Config, biases, llama_like, window, windows

DEFAULTS = {
    "vocab_size": 151_936, "hidden_size": 4096, "intermediate_size": 22_016, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 32, "hidden_act": "silu", "max_position_embeddings": 32_768,
    "rms_norm_eps": 1e-6, "tie_word_embeddings": False, "use_sliding_window": False, "sliding_window": 4096,
    "max_window_layers": 28, "layer_types": None,
}  # fmt: skip
NEUTRAL = {"use_mrope": False}


def describe(config: Config) -> Decoder:
    """Describe Qwen 2; the layers that have a window are those of layer_types, or else from max_window_layers on."""
    return windowed(config, biases=biases(qkv=True))


def windowed(config: Config, **changes: Change) -> Decoder:
    """Return LLaMA with Qwen's windows, which hold where use_sliding_window says so, and ``changes``."""
    layers, first = config.integer("num_hidden_layers"), config.integer("max_window_layers")
    width = None
    if config.flag("use_sliding_window"):
        width = window(config)
    config.ignore("sliding_window")  # where it does not hold
    usual = tuple(width is not None and layer >= first for layer in range(layers))
    return llama_like(config, windows=windows(config, layers, width, usual), **changes)
