"""Phi 3.5 MoE (Abdin et al. 2024): layers of experts, two of which sparsemixer chooses one after the other."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder, Rotary
from edgepack.decoders._rope import rotary, scaling_table
from edgepack.decoders.experts import Experts
from edgepack.decoders.families import _experts
from edgepack.decoders.families._common import LLAMA, Config, attention_biases, biases, layer_norm
from edgepack.decoders.settings import SUPPORTED
from edgepack.errors import UnsupportedModel

DEFAULTS = {
    "vocab_size": 32_064, "hidden_size": 4096, "intermediate_size": 6400, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 131_072,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "sliding_window": None, "num_local_experts": 16,
    "router_jitter_noise": 0.01, "attention_bias": False, "lm_head_bias": False,
}  # fmt: skip
ALIASES = {"num_experts": "num_local_experts"}
IRRELEVANT = ("output_router_logits", "input_jitter_noise", "num_experts_per_tok")  # it is always two
_THETA = 1_000_000.0
_FORMS = (
    _experts.each("block_sparse_moe", "gate", "w1", "w3", "w2"),
    _experts.each("mlp", "router", "w1", "w3", "w2"),
    _experts.together("mlp", "router"),
)
_CHOSEN = 2


def describe(config: Config) -> Decoder:
    """Describe Phi 3.5 MoE: norms are LayerNorm, attention_bias is the output's too, every layer has the window."""
    _experts.check_silu(config)
    experts = Experts(
        count=config.integer("num_local_experts"),
        chosen=_CHOSEN,
        width=config.integer("intermediate_size"),
        names=_FORMS,
        routing="sparsemixer",
        jitter=config.real("router_jitter_noise"),
    )
    made = _experts.everywhere_windowed(
        config,
        names=LLAMA,
        norm=layer_norm(config, "rms_norm_eps"),
        biases=attention_biases(config) | biases(norm=True, head=config.flag("lm_head_bias")),
        rotary=None,
        experts=experts,
    )
    return replace(made, rotary=_rotary(config, made.head_dim))


def _rotary(config: Config, head: int) -> Rotary:
    """Return longrope's angles, whose factor the config states for texts up to the trained length and beyond.

    Beyond it transformers' class goes on with short_factor, and so does this; no bundle's context is that long.
    """
    found = rotary(config, head, usual=_THETA)
    if found.scaling["rope_type"] == "default":
        return found
    if found.scaling["rope_type"] != "longrope":
        raise UnsupportedModel(
            f"Phi 3.5 MoE has no rotary scaling {found.scaling['rope_type']!r}, only longrope", hint=SUPPORTED
        )
    table = scaling_table(config)
    factors = {
        "long_factor": found.scaling["short_factor"],
        "attention_factor": table.real("short_mscale"),
        "long_attention_factor": table.real("long_mscale"),
    }
    return replace(found, scaling={**found.scaling, **factors})
