"""OPT (Zhang et al. 2022): learned positions from the third row on; OPT-350M norms sums, not what branches read."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder, Names, Norm
from edgepack.decoders.families._common import Config, activation, biases

DEFAULTS = {
    "vocab_size": 50_272, "hidden_size": 768, "num_hidden_layers": 12, "ffn_dim": 3072,
    "max_position_embeddings": 2048, "do_layer_norm_before": True, "_remove_final_layer_norm": False,
    "word_embed_proj_dim": None, "num_attention_heads": 12, "activation_function": "relu", "enable_bias": True,
    "layer_norm_elementwise_affine": True, "tie_word_embeddings": True,
}  # fmt: skip
IRRELEVANT = ("dropout", "layerdrop", "init_std", "activation_dropout")  # of training
_NAMES = Names(
    prefixes=("model.decoder.", "decoder.", ""),
    embedding="embed_tokens",
    positions="embed_positions",
    final="final_layer_norm",
    norm1="layers.{i}.self_attn_layer_norm",
    norm2="layers.{i}.final_layer_norm",
    qkv=tuple(f"layers.{{i}}.self_attn.{part}_proj" for part in "qkv"),
    o_proj="layers.{i}.self_attn.out_proj",
    gate_up=("layers.{i}.fc1",),
    down="layers.{i}.fc2",
)
_EPSILON, _FIRST = 1e-5, 2  # of the class


def describe(config: Config) -> Decoder:
    """Describe OPT; an embedding of another width, word_embed_proj_dim, is projected."""
    heads, hidden = config.integer("num_attention_heads"), config.integer("hidden_size")
    before, removed = config.flag("do_layer_norm_before"), config.flag("_remove_final_layer_norm")
    stated, affine = config.flag("enable_bias"), config.flag("layer_norm_elementwise_affine")
    width = config.maybe("word_embed_proj_dim") or hidden
    names = _NAMES if before and not removed else replace(_NAMES, final="")
    if width != hidden:
        names = replace(names, project_in="project_in", project_out="project_out")
    return Decoder(
        model_type="opt",
        names=names,
        layers=config.integer("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=hidden // heads,
        intermediate=config.integer("ffn_dim"),
        vocabulary=config.integer("vocab_size"),
        longest=config.integer("max_position_embeddings"),
        norm=Norm(kind="layer", epsilon=_EPSILON, plain=not affine),
        activation=activation(config, "activation_function"),
        gated=False,
        first_position=_FIRST,
        normed_sum=not before,
        tied=config.flag("tie_word_embeddings"),
        embedding_width=width,
        biases=biases(qkv=stated, o_proj=stated, gate_up=stated, down=stated, norm=affine),
    )
