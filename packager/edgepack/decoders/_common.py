"""What the descriptions share: the reading of config.json's usual words, and LLaMA's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgepack.decoders import Decoder, Names, Norm, Rotary
from edgepack.decoders.rotary import check
from edgepack.errors import UnsupportedModel

Config = Mapping[str, Any]
_ACTIVATIONS = {
    "silu": "silu", "swish": "silu", "gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu",
}  # fmt: skip

LLAMA = Names(
    prefixes=("model.", "language_model.model.", "model.language_model.", ""),
    embedding="embed_tokens",
    final="norm",
    norm1="layers.{i}.input_layernorm",
    norm2="layers.{i}.post_attention_layernorm",
    qkv=tuple(f"layers.{{i}}.self_attn.{part}_proj" for part in "qkv"),
    out="layers.{i}.self_attn.o_proj",
    inner=("layers.{i}.mlp.gate_proj", "layers.{i}.mlp.up_proj"),
    down="layers.{i}.mlp.down_proj",
    heads=("lm_head", "language_model.lm_head"),
)


def activation(config: Config, *keys: str) -> str:
    """The activation that the first of ``keys`` names. Raises UnsupportedModel."""
    name = next((str(config[key]) for key in keys if config.get(key)), "silu")
    if name not in _ACTIVATIONS:
        raise UnsupportedModel(f"the activation {name!r} is not packed", hint=f"known: {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[name]


def rotary(config: Config, width: int, *, base: float = 10_000.0) -> Rotary:
    """The rotary embedding that rope_theta and rope_scaling describe (transformers 5 joins them in rope_parameters)."""
    joined = config.get("rope_parameters") or {}
    scaling = dict(config.get("rope_scaling") or joined)
    trained = scaling.get("original_max_position_embeddings") or config.get("original_max_position_embeddings")
    found = Rotary(
        base=float(joined.get("rope_theta") or config.get("rope_theta") or base),
        width=width,
        scaling=scaling,
        trained=int(trained or config["max_position_embeddings"]),
        longest=int(config["max_position_embeddings"]),
    )
    check(found)
    return found


def llama_like(config: Config, **changes: Any) -> Decoder:
    """A decoder with LLaMA's numbers and names, and ``changes``."""
    heads = int(config["num_attention_heads"])
    head = int(config.get("head_dim") or int(config["hidden_size"]) // heads)
    layers = int(config["num_hidden_layers"])
    facts: dict[str, Any] = {
        "model_type": str(config["model_type"]),
        "names": LLAMA,
        "layers": layers,
        "hidden": int(config["hidden_size"]),
        "heads": heads,
        "kv_heads": int(config.get("num_key_value_heads") or heads),
        "head": head,
        "inner": int(config["intermediate_size"]),
        "vocabulary": int(config["vocab_size"]),
        "context": int(config["max_position_embeddings"]),
        "norm": Norm(kind="rms", epsilon=float(config.get("rms_norm_eps", 1e-6))),
        "activation": activation(config, "hidden_activation", "hidden_act"),
        "rotary": rotary(config, int(head * float(config.get("partial_rotary_factor") or 1.0))),
        "tied": bool(config.get("tie_word_embeddings", False)),
    }
    return Decoder(**facts | changes)


def windows(config: Config, layers: int, *, usual: tuple[int, ...] = ()) -> tuple[int, ...]:
    """The window of each layer: what layer_types says, else ``usual``; none where there is no sliding_window."""
    width = int(config.get("sliding_window") or 0)
    if not width:
        return ()
    kinds = config.get("layer_types")
    if kinds:
        return tuple(width if kind == "sliding_attention" else 0 for kind in kinds)
    return tuple(width if place else 0 for place in usual) if usual else (width,) * layers
