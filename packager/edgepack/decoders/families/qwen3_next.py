"""Qwen 3-Next: linear attention in most layers, gated attention in the others, and experts of which one is shared."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders.experts import Experts
from edgepack.decoders.families import _experts, _linear
from edgepack.decoders.families._common import Config
from edgepack.decoders.families.qwen3_moe import FORMS, with_experts

DEFAULTS = {
    **_linear.DEFAULTS, "vocab_size": 151_936, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 48,
    "num_key_value_heads": 2, "decoder_sparse_step": 1, "moe_intermediate_size": 512,
    "shared_expert_intermediate_size": 512, "num_experts_per_tok": 10, "num_experts": 512, "norm_topk_prob": True,
    "mlp_only_layers": None,
}  # fmt: skip
IRRELEVANT = (*_linear.IRRELEVANT, *_experts.IRRELEVANT)
NEUTRAL = _linear.NEUTRAL
_LINEAR = _linear.names(("in_proj_qkvz",), ("in_proj_ba",))


def describe(config: Config) -> Decoder:
    """Describe Qwen 3-Next, whose mlp_only_layers have no experts. Raises UnsupportedModel, ModelError."""
    count = config.integer("num_experts")
    having = with_experts(config, config.integer("num_hidden_layers"))
    experts = Experts(
        count=count,
        chosen=config.integer("num_experts_per_tok"),
        width=config.integer("moe_intermediate_size"),
        routing="chosen" if config.flag("norm_topk_prob") else "all",
        names=FORMS,
        layers=having,
        shared=_experts.shared(config.integer("shared_expert_intermediate_size")),
    )
    return _linear.gated(config, _LINEAR, grouped=True, experts=experts if count and any(having) else None)
