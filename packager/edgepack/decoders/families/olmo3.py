"""OLMo 3: OLMo 2 with a window in three of four layers; a scaling of the rotary embedding holds in the others alone."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders._rope import by_kind
from edgepack.decoders.families import olmo2
from edgepack.decoders.families._common import Config, window, windows

DEFAULTS = {**olmo2.DEFAULTS, "sliding_window": 4096, "layer_types": None}
_PATTERN = 4  # every fourth layer sees everything
_THETA = 500_000.0


def describe(config: Config) -> Decoder:
    """Describe OLMo 3; a base beside the tables is that of the layers that see everything."""
    layers, heads = config.integer("num_hidden_layers"), config.integer("num_attention_heads")
    stated = config.maybe("head_dim")
    head = config.integer("hidden_size") // heads if stated is None else stated
    full, local = by_kind(config, head, full=config.get("rope_theta", _THETA), local=_THETA)
    usual = tuple((layer + 1) % _PATTERN > 0 for layer in range(layers))
    return olmo2.changed(
        config, windows=windows(config, layers, window(config), usual), rotary=full, local_rotary=local
    )
