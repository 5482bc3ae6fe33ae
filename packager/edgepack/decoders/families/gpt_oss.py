"""gpt-oss (OpenAI 2025): experts with clamped gates, sinks of the attention, and a window in every other layer."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder
from edgepack.decoders._rope import rotary
from edgepack.decoders.experts import Experts
from edgepack.decoders.families import _experts
from edgepack.decoders.families._common import LLAMA, Config, attention_biases, llama_like, window, windows

DEFAULTS = {
    "vocab_size": 201_088, "hidden_size": 2880, "intermediate_size": 2880, "num_hidden_layers": 36,
    "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64, "hidden_act": "silu",
    "max_position_embeddings": 131_072, "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "sliding_window": 128,
    "layer_types": None, "num_local_experts": 128, "num_experts_per_tok": 4, "swiglu_alpha": 1.702,
    "swiglu_limit": 7.0, "attention_bias": True,
}  # fmt: skip
ALIASES = {"num_experts": "num_local_experts"}
# the reference implementation's names of what is stated under transformers' too
IRRELEVANT = (*_experts.IRRELEVANT, "experts_per_token", "initial_context_length")
_THETA = 150_000.0
_SCALING = {
    "rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
    "original_max_position_embeddings": 4096,
}  # fmt: skip
_NAMES = replace(LLAMA, sinks="layers.{i}.self_attn.sinks")


def describe(config: Config) -> Decoder:
    """Describe gpt-oss: every other layer has the window, from the first on, where layer_types says nothing."""
    layers = config.integer("num_hidden_layers")
    config.ignore("hidden_act")  # the class gates by swiglu_alpha and swiglu_limit alone
    experts = Experts(
        count=config.integer("num_local_experts"),
        chosen=config.integer("num_experts_per_tok"),
        width=config.integer("intermediate_size"),
        names=(_experts.together("mlp", "router"),),
        transposed=True,
        interleaved=True,
        biased=True,
        alpha=config.real("swiglu_alpha"),
        beta=1.0,
        limit=config.real("swiglu_limit"),
    )
    return llama_like(
        config,
        names=_NAMES,
        activation="silu",
        biases=attention_biases(config),
        rotary=rotary(config, config.integer("head_dim"), usual=_THETA, absent=_SCALING),
        windows=windows(config, layers, window(config), tuple(layer % 2 == 0 for layer in range(layers))),
        experts=experts,
    )
