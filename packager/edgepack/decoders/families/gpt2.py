"""GPT-2 (Radford et al. 2019), and with it Cerebras-GPT: learned positions, weights stored [in, out]."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder, Names, Norm
from edgepack.decoders.families._common import Config, activation, biases

DEFAULTS = {
    "vocab_size": 50_257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_inner": None,
    "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False, "tie_word_embeddings": True,
}  # fmt: skip
ALIASES = {
    "hidden_size": "n_embd", "max_position_embeddings": "n_positions", "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
}  # fmt: skip
# n_ctx said what n_positions does; the order of the products is another, their sum is not; heads of other tasks
IRRELEVANT = (
    "n_ctx", "reorder_and_upcast_attn", "summary_type", "summary_use_proj", "summary_activation",
    "summary_proj_to_labels", "summary_first_dropout",
)  # fmt: skip
_NAMES = Names(
    prefixes=("transformer.", ""),
    embedding="wte",
    positions="wpe",
    final="ln_f",
    norm1="h.{i}.ln_1",
    norm2="h.{i}.ln_2",
    qkv=("h.{i}.attn.c_attn",),
    o_proj="h.{i}.attn.c_proj",
    gate_up=("h.{i}.mlp.c_fc",),
    down="h.{i}.mlp.c_proj",
)


def describe(config: Config) -> Decoder:
    """Describe GPT-2: every product has a bias."""
    scaled = config.flag("scale_attn_by_inverse_layer_idx")
    return replace(plain(config, "gpt2"), transposed=True, layer_scaled=scaled)


def plain(config: Config, model_type: str) -> Decoder:
    """Return what the relatives have, too."""
    heads, hidden, inner = config.integer("n_head"), config.integer("n_embd"), config.maybe("n_inner")
    return Decoder(
        model_type=model_type,
        names=_NAMES,
        layers=config.integer("n_layer"),
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=hidden // heads,
        intermediate=4 * hidden if inner is None else inner,
        vocabulary=config.integer("vocab_size"),
        longest=config.integer("n_positions"),
        norm=Norm(kind="layer", epsilon=config.real("layer_norm_epsilon")),
        activation=activation(config, "activation_function"),
        gated=False,
        tied=config.flag("tie_word_embeddings"),
        biases=biases(qkv=True, o_proj=True, gate_up=True, down=True, norm=True),
        scale=0.0 if config.flag("scale_attn_weights") else 1.0,
    )
