"""Gemma 3n, text: residuals beside each other (AltUp), a branch of low rank (LAuReL), sparse gates, and Gemma 4's
vectors of each layer and layers that read the keys of earlier ones.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

from edgepack.decoders import Decoder, Norm
from edgepack.decoders._rope import THETA, by_kind
from edgepack.decoders.altup import AltUp
from edgepack.decoders.families import gemma4_text
from edgepack.decoders.families._common import (
    Change,
    Config,
    activation,
    attention_biases,
    cap,
    llama_like,
    window,
    windows,
)
from edgepack.decoders.settings import CORRECT
from edgepack.documents import JsonDict
from edgepack.errors import ModelError

DEFAULTS = {
    "vocab_size": 262_400, "hidden_size": 2048, "intermediate_size": 16_384, "num_hidden_layers": 35,
    "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh",
    "max_position_embeddings": 32_768, "rms_norm_eps": 1e-6, "tie_word_embeddings": True, "attention_bias": False,
    "sliding_window": 512, "layer_types": None, "final_logit_softcapping": 30.0,
    "vocab_size_per_layer_input": 262_144, "hidden_size_per_layer_input": 256, "altup_active_idx": 0,
    "altup_correct_scale": True, "altup_num_inputs": 4, "num_kv_shared_layers": 15, "laurel_rank": 64,
    "activation_sparsity_pattern": None,
}  # fmt: skip
# of training alone; and the scale of scores, which is 1 here
IRRELEVANT = ("altup_coef_clip", "altup_lr_multiplier", "query_pre_attn_scalar")
NAMES = replace(
    gemma4_text.NAMES,
    layer_scale="",
    altup_norm="layers.{i}.altup.router_norm",
    laurel_down="layers.{i}.laurel.linear_left",
    laurel_up="layers.{i}.laurel.linear_right",
    after_laurel="layers.{i}.laurel.post_laurel_norm",
)
_GLOBAL_THETA = 1_000_000.0
_PATTERN = 5  # every fifth layer sees everything
_SPARSE, _SPARSITY = 10, 0.95  # the first layers of a model that has more than so many, where nothing is said


def describe(config: Config) -> Decoder:
    """Describe Gemma 3n. Raises as ``changed`` does."""
    return changed(config)


def changed(config: Config, **changes: Change) -> Decoder:
    """Return the description with ``changes``. Raises ModelError."""
    layers, head, hidden = (config.integer(key) for key in ("num_hidden_layers", "head_dim", "hidden_size"))
    inner = _by_layer(config, "intermediate_size", layers)
    theta, local_theta = config.get("rope_theta", _GLOBAL_THETA), config.get("rope_local_base_freq", THETA)
    full, local = by_kind(config, head, full=theta, local=local_theta)
    made = llama_like(
        config,
        names=NAMES,
        norm=Norm(kind="rms", epsilon=config.real("rms_norm_eps")),
        activation=activation(config, "hidden_activation"),
        intermediate=inner[0],
        rotary=full,
        local_rotary=local,
        windows=windows(config, layers, window(config), tuple((i + 1) % _PATTERN > 0 for i in range(layers))),
        scale=1.0,
        value_norm=True,
        biases=attention_biases(config),
        embedding_scale=float(hidden) ** 0.5,
        logits_cap=cap(config, "final_logit_softcapping"),
        layer_width=_positive(config, "hidden_size_per_layer_input"),
        layer_rows=_positive(config, "vocab_size_per_layer_input"),
        altup=_altup(config),
        laurel_rank=_positive(config, "laurel_rank"),
        **changes,
    )
    own: list[JsonDict] = [
        {**reads, "intermediate": width, "cutoff": _cutoff(share)}
        for reads, width, share in zip(
            gemma4_text.reading(config, made), inner, _sparsities(config, layers), strict=True
        )
    ]
    return replace(made, own=tuple(own))


def _altup(config: Config) -> AltUp:
    """Raises ModelError where there are no residuals beside each other."""
    count, active = config.integer("altup_num_inputs"), config.integer("altup_active_idx")
    if count < 2 or not 0 <= active < count:
        raise ModelError(
            f"config.json: altup_num_inputs is {count} and altup_active_idx {active}; of at least 2 residuals one is "
            "active", hint=CORRECT,
        )  # fmt: skip
    path = "layers.{i}.altup."
    return AltUp(
        count=count,
        active=active,
        scaled=config.flag("altup_correct_scale"),
        enter=tuple(f"altup_projections.{place}" for place in range(count - 1)),
        leave=tuple(f"altup_unembed_projections.{place}" for place in range(count - 1)),
        router=f"{path}modality_router",
        prediction=f"{path}prediction_coefs",
        correction=f"{path}correction_coefs",
        scale=f"{path}correct_output_scale",
    )


def _by_layer(config: Config, key: str, layers: int) -> list[int]:
    """Return a whole number of each layer, which are stated one by one or once for all."""
    value = config.get(key)
    if not isinstance(value, list):
        return [config.integer(key)] * layers
    if len(value) != layers or not all(isinstance(one, int) and one > 0 for one in value):
        raise ModelError(f"config.json: {key} is not a list of {layers} whole numbers, one per layer", hint=CORRECT)
    return value


def _sparsities(config: Config, layers: int) -> list[float]:
    """Return the share of each layer's gates that are 0. Raises ModelError."""
    stated = config.get("activation_sparsity_pattern")
    if stated is None:
        sparse = _SPARSE if layers > _SPARSE else 0
        return [_SPARSITY] * sparse + [0.0] * (layers - sparse)
    shares = stated if isinstance(stated, list) and len(stated) == layers else [None]
    if not all(isinstance(share, int | float) and not isinstance(share, bool) and share < 1 for share in shares):
        raise ModelError(
            f"config.json: activation_sparsity_pattern is not a list of {layers} shares below 1, one per layer",
            hint=CORRECT,
        )
    return list(map(float, shares))


def _cutoff(share: float) -> float | None:
    """Return the standard deviations below which that share of normally distributed numbers lies."""
    return NormalDist().inv_cdf(share) if share > 0 else None


def _positive(config: Config, key: str) -> int:
    value = config.integer(key)
    if value < 1:
        raise ModelError(f"config.json: {key} is {value}; it must be at least 1", hint=CORRECT)
    return value
