"""LFM2 with experts: as LFM2, with experts behind the first layers, chosen by sigmoids and a correction of each."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder
from edgepack.decoders.experts import Experts
from edgepack.decoders.families import _experts, lfm2
from edgepack.decoders.families._common import Config

DEFAULTS = {
    "vocab_size": 65_536, "hidden_size": 2048, "intermediate_size": 7168, "moe_intermediate_size": 1792,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 128_000,
    "norm_eps": 1e-5, "tie_word_embeddings": True, "conv_bias": False, "conv_L_cache": 3, "num_dense_layers": 2,
    "num_experts_per_tok": 4, "num_experts": 32, "use_expert_bias": True, "routed_scaling_factor": 1.0,
    "norm_topk_prob": True, "layer_types": None,
}  # fmt: skip
ALIASES = {"tie_embedding": "tie_word_embeddings"}
IRRELEVANT = _experts.IRRELEVANT
_FORMS = (_experts.each("feed_forward", "gate", "w1", "w3", "w2"), _experts.together("feed_forward", "gate"))
_CORRECTION = "layers.{i}.feed_forward.expert_bias"


def describe(config: Config) -> Decoder:
    """Describe LFM2 with experts. Raises as LFM2's parts do."""
    corrected = config.flag("use_expert_bias")
    layers = range(config.integer("num_hidden_layers"))
    experts = Experts(
        count=config.integer("num_experts"),
        chosen=config.integer("num_experts_per_tok"),
        width=config.integer("moe_intermediate_size"),
        routing="sigmoid",
        normed=config.flag("norm_topk_prob"),
        scale=config.real("routed_scaling_factor"),
        names=tuple(replace(form, correction=_CORRECTION) for form in _FORMS) if corrected else _FORMS,
        layers=tuple(layer >= config.integer("num_dense_layers") for layer in layers),
    )
    return lfm2.mixed(
        config,
        lfm2.stated(config),
        intermediate=config.integer("intermediate_size"),
        experts=experts if any(experts.layers) else None,
    )
