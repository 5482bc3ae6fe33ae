"""Command R7B and A (Cohere): Command R with a window and rotary positions in three of four layers alone."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders._rope import THETA
from edgepack.decoders.families import cohere
from edgepack.decoders.families._common import Config, window, windows

DEFAULTS = {key: value for key, value in cohere.DEFAULTS.items() if key != "use_qk_norm"} | {
    "sliding_window": 4096, "layer_types": None,
}  # fmt: skip
# what the first files say of the class's own ways
NEUTRAL = {
    "use_qk_norm": False, "layer_switch": 4, "order_of_interleaved_layers": "local_attn_first", "rotary_pct": 1.0,
    "position_embedding_type": "rope_gptj", "use_embedding_sharing": True, "use_gated_activation": True,
    "use_parallel_block": True, "use_parallel_embedding": False,
}  # fmt: skip
_PATTERN = 4  # every fourth layer sees everything


def describe(config: Config) -> Decoder:
    """Describe Cohere 2: layers without a window have no rotary embedding."""
    layers = config.integer("num_hidden_layers")
    pattern = config.integer("sliding_window_pattern") if "sliding_window_pattern" in config else _PATTERN
    usual = tuple((layer + 1) % pattern > 0 for layer in range(layers))
    widths = windows(config, layers, window(config), usual)
    turns = tuple(width > 0 for width in widths or (0,) * layers)
    return cohere.shared(config, theta=THETA, names=cohere.NAMES, windows=widths, turns=turns)
