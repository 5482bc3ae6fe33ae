"""Gemma 2: as Gemma, with norms after each branch, caps, and a window in every other layer."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder
from edgepack.decoders.families import gemma
from edgepack.decoders.families._common import LLAMA, Change, Config, activation, cap, window, windows
from edgepack.decoders.settings import CORRECT
from edgepack.documents import JsonDict
from edgepack.errors import ModelError

DEFAULTS = {
    "vocab_size": 256_000, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
    "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh",
    "max_position_embeddings": 8192, "rms_norm_eps": 1e-6, "tie_word_embeddings": True, "attention_bias": False,
    "query_pre_attn_scalar": 256, "sliding_window": 4096, "layer_types": None, "final_logit_softcapping": 30.0,
    "attn_logit_softcapping": 50.0, "use_bidirectional_attention": None,
}  # fmt: skip
IRRELEVANT = ("hidden_act", "cache_implementation")  # the activation is hidden_activation
NAMES = replace(
    LLAMA,
    after_attention="layers.{i}.post_attention_layernorm",
    norm2="layers.{i}.pre_feedforward_layernorm",
    after_mlp="layers.{i}.post_feedforward_layernorm",
)


def describe(config: Config) -> Decoder:
    """Describe Gemma 2: every other layer has a window, from the first on, where layer_types says nothing."""
    layers = config.integer("num_hidden_layers")
    return capped(config, windows=windows(config, layers, window(config), tuple(i % 2 == 0 for i in range(layers))))


def capped(config: Config, **changes: Change) -> Decoder:
    """Return Gemma with its later names, query_pre_attn_scalar and caps, and ``changes``. Raises ModelError."""
    scalar = config.real("query_pre_attn_scalar")
    if scalar <= 0:
        raise ModelError(f"config.json: query_pre_attn_scalar is {scalar}, which is not a number above 0", hint=CORRECT)
    facts: JsonDict = {
        "names": NAMES,
        "activation": activation(config, "hidden_activation"),
        "scale": scalar**-0.5,
        "attention_cap": cap(config, "attn_logit_softcapping"),
        "logits_cap": cap(config, "final_logit_softcapping"),
    }
    return gemma.scaled(config, **facts | changes)
