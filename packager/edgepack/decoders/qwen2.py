"""Qwen 2 and 2.5: LLaMA with biases of q, k and v (which the files bring)."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders._common import Config, llama_like, windows


def describe(config: Config) -> Decoder:
    """The layers from max_window_layers on have a window, where use_sliding_window says so."""
    layers = int(config["num_hidden_layers"])
    if not config.get("use_sliding_window"):
        return llama_like(config)
    first = int(config.get("max_window_layers") or layers)
    return llama_like(config, windows=windows(config, layers, usual=tuple(int(i >= first) for i in range(layers))))
