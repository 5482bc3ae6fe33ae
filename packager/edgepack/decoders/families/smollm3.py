"""SmolLM3: LLaMA whose every fourth layer has no rotary embedding."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders.families._common import Config, attention_biases, biases, llama_like, window, windows
from edgepack.decoders.settings import CORRECT
from edgepack.errors import ModelError

DEFAULTS = {
    "vocab_size": 128_256, "hidden_size": 2048, "intermediate_size": 11_008, "num_hidden_layers": 36,
    "num_attention_heads": 16, "num_key_value_heads": 4, "hidden_act": "silu", "max_position_embeddings": 32_768,
    "rms_norm_eps": 1e-6, "tie_word_embeddings": True, "attention_bias": False, "mlp_bias": False,
    "use_sliding_window": False, "sliding_window": None, "no_rope_layers": None, "no_rope_layer_interval": 4,
    "layer_types": None,
}  # fmt: skip
NEUTRAL = {"max_window_layers": 28}
_THETA = 2_000_000.0


def describe(config: Config) -> Decoder:
    """Describe SmolLM 3: no_rope_layers has a 1 for each layer that turns; a window holds in those that do not."""
    layers, width, feed_forward = config.integer("num_hidden_layers"), window(config), config.flag("mlp_bias")
    turns = _turns(config, layers)
    sliding = config.flag("use_sliding_window") and width is not None
    return llama_like(
        config,
        theta=_THETA,
        turns=turns,
        windows=windows(config, layers, width, tuple(sliding and not turn for turn in turns)),
        biases=attention_biases(config) | biases(gate_up=feed_forward, down=feed_forward),
    )


def _turns(config: Config, layers: int) -> tuple[bool, ...]:
    stated, interval = config.get("no_rope_layers"), config.integer("no_rope_layer_interval")
    if stated is None:
        return tuple((layer + 1) % interval > 0 for layer in range(layers))
    if not isinstance(stated, list) or len(stated) != layers:
        raise ModelError(f"config.json: no_rope_layers does not have {layers} entries, one per layer", hint=CORRECT)
    return tuple(bool(turn) for turn in stated)
