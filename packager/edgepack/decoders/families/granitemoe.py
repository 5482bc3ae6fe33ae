"""Granite 3's models of experts (IBM): Granite with experts."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders.experts import ExpertNames
from edgepack.decoders.families import _experts, granite
from edgepack.decoders.families._common import Config, attention_biases

DEFAULTS = {key: value for key, value in granite.DEFAULTS.items() if key != "mlp_bias"} | {
    "num_local_experts": 8, "num_experts_per_tok": 2,
}  # fmt: skip
IRRELEVANT = _experts.IRRELEVANT
_MODULE = "layers.{i}.block_sparse_moe"
_PUBLISHED = ExpertNames(
    router=f"{_MODULE}.router.layer",
    gate_up=(f"{_MODULE}.input_linear.weight",),
    down=f"{_MODULE}.output_linear.weight",
)
_FORMS = (_PUBLISHED, _experts.together("block_sparse_moe", "router"))


def describe(config: Config) -> Decoder:
    """Describe Granite whose layers have experts, each as wide as intermediate_size."""
    experts = _experts.as_wide_as_usual(config, _FORMS)
    return granite.multiplied(config, biases=attention_biases(config), experts=experts)
