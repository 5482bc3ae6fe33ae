"""GPT-2 (Radford et al. 2019), and with it Cerebras-GPT: learned positions, weights stored [in, out]."""

from __future__ import annotations

from edgepack.decoders import Decoder, Names, Norm
from edgepack.decoders._common import Config, activation
from edgepack.errors import UnsupportedModel

_NAMES = Names(
    prefixes=("transformer.", ""),
    embedding="wte",
    positions="wpe",
    final="ln_f",
    norm1="h.{i}.ln_1",
    norm2="h.{i}.ln_2",
    qkv=("h.{i}.attn.c_attn",),
    out="h.{i}.attn.c_proj",
    inner=("h.{i}.mlp.c_fc",),
    down="h.{i}.mlp.c_proj",
)


def describe(config: Config) -> Decoder:
    """Raises UnsupportedModel for scores that are scaled by the layer's number."""
    if config.get("scale_attn_by_inverse_layer_idx"):
        raise UnsupportedModel("a GPT-2 with scale_attn_by_inverse_layer_idx is not packed")
    heads, hidden = int(config["n_head"]), int(config["n_embd"])
    return Decoder(
        model_type="gpt2",
        names=_NAMES,
        layers=int(config["n_layer"]),
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head=hidden // heads,
        inner=int(config.get("n_inner") or 4 * hidden),
        vocabulary=int(config["vocab_size"]),
        context=int(config["n_positions"]),
        norm=Norm(kind="layer", epsilon=float(config.get("layer_norm_epsilon", 1e-5))),
        activation=activation({"activation_function": "gelu_new", **config}, "activation_function"),
        gated=False,
        tied=bool(config.get("tie_word_embeddings", True)),
        transposed=True,
        scale=1.0 if config.get("scale_attn_weights") is False else 0.0,
    )
