"""EXAONE 4 (LG): norms of the branches as in OLMo 2; with windows, layers without one have no rotary embedding."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders.families import olmo2
from edgepack.decoders.families._common import Config, llama_like, window, windows

DEFAULTS = {
    "vocab_size": 102_400, "hidden_size": 4096, "intermediate_size": 16_384, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 32, "hidden_act": "silu", "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "sliding_window": 4096, "sliding_window_pattern": 4,
    "layer_types": None,
}  # fmt: skip


def describe(config: Config) -> Decoder:
    """Describe EXAONE 4: layers are as layer_types says, or every sliding_window_pattern-th sees everything."""
    layers, width = config.integer("num_hidden_layers"), window(config)
    usual: tuple[bool, ...] = ()
    if config.get("layer_types") is None:
        pattern = config.integer("sliding_window_pattern") if width else 0
        usual = tuple((layer + 1) % pattern != 0 for layer in range(layers))
    config.ignore("sliding_window_pattern")  # where layer_types says it
    widths = windows(config, layers, width, usual)
    return llama_like(
        config,
        names=olmo2.NAMES,
        windows=widths,
        turns=tuple(seen > 0 for seen in widths or (0,) * layers) if width else (),
    )
