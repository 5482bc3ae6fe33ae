"""Qwen 3 with experts: as Qwen 3, with experts in place of all or some feed-forward layers."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.decoders.experts import Experts
from edgepack.decoders.families import _experts
from edgepack.decoders.families._common import Config, attention_biases, llama_like, window
from edgepack.decoders.families.qwen3 import NAMES
from edgepack.decoders.settings import CORRECT
from edgepack.errors import ModelError

DEFAULTS = {
    "vocab_size": 151_936, "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 24,
    "num_attention_heads": 32, "num_key_value_heads": 4, "hidden_act": "silu", "max_position_embeddings": 32_768,
    "rms_norm_eps": 1e-6, "tie_word_embeddings": False, "attention_bias": False, "use_sliding_window": False,
    "sliding_window": 4096, "decoder_sparse_step": 1, "moe_intermediate_size": 768, "num_experts_per_tok": 8,
    "num_experts": 128, "norm_topk_prob": False, "mlp_only_layers": None,
}  # fmt: skip
ALIASES = {"num_local_experts": "num_experts"}
IRRELEVANT = (*_experts.IRRELEVANT, "max_window_layers")  # Qwen 2's, which transformers does not look at
FORMS = (
    _experts.each("mlp", "gate", "gate_proj", "up_proj", "down_proj"),
    _experts.together("mlp", "gate"),
)


def describe(config: Config) -> Decoder:
    """Describe Qwen 3 MoE: layers have the window where use_sliding_window says so; mlp_only_layers have no experts."""
    _experts.check_silu(config)
    width = window(config) if config.flag("use_sliding_window") else None
    config.ignore("sliding_window")  # where it does not hold
    layers = config.integer("num_hidden_layers")
    experts = Experts(
        count=config.integer("num_experts"),
        chosen=config.integer("num_experts_per_tok"),
        width=config.integer("moe_intermediate_size"),
        routing="chosen" if config.flag("norm_topk_prob") else "all",
        names=FORMS,
        layers=with_experts(config, layers),
    )
    return llama_like(
        config,
        names=NAMES,
        biases=attention_biases(config),
        windows=(width,) * layers if width else (),
        experts=experts if any(experts.layers) else None,
    )


def with_experts(config: Config, layers: int) -> tuple[bool, ...]:
    """Return whether a layer has experts: every decoder_sparse_step-th one that mlp_only_layers does not name."""
    plain, step = config.get("mlp_only_layers") or [], config.integer("decoder_sparse_step")
    if not isinstance(plain, list) or step < 1:
        raise ModelError("config.json: mlp_only_layers is not a list, or decoder_sparse_step below 1", hint=CORRECT)
    return tuple(layer not in plain and (layer + 1) % step == 0 for layer in range(layers))
