"""MPT (MosaicML 2023): ALiBi, LayerNorm without bias, no biases at all."""

from __future__ import annotations

from edgepack.decoders import Decoder, Names
from edgepack.decoders.alibi import evenly
from edgepack.decoders.families._common import Config, above_zero, cap, layer_norm
from edgepack.decoders.settings import SUPPORTED
from edgepack.errors import UnsupportedModel

DEFAULTS = {
    "d_model": 2048, "n_heads": 16, "n_layers": 24, "expansion_ratio": 4, "max_seq_len": 2048, "vocab_size": 50_368,
    "layer_norm_epsilon": 1e-5, "attn_config": None, "tie_word_embeddings": True,
}  # fmt: skip
ALIASES = {"num_attention_heads": "n_heads", "hidden_size": "d_model", "num_hidden_layers": "n_layers"}
_ATTENTION = {
    "attn_type": "multihead_attention", "clip_qkv": None, "softmax_scale": None, "alibi": True, "alibi_bias_max": 8,
    "prefix_lm": False, "qk_ln": False, "attn_uses_sequence_id": False,
}  # fmt: skip
# ALiBi takes the place of learned positions; the rest is of training, or of how another class computes
IRRELEVANT = (
    "learned_pos_emb", "init_device", "init_config", "emb_pdrop", "attn_impl", "tokenizer_name", "verbose", "norm_type",
    "embedding_fraction",
)  # fmt: skip
NEUTRAL = {"logit_scale": None, "no_bias": True}
_NAMES = Names(
    prefixes=("transformer.", ""),
    embedding="wte",
    final="norm_f",
    norm1="blocks.{i}.norm_1",
    norm2="blocks.{i}.norm_2",
    qkv=("blocks.{i}.attn.Wqkv",),
    o_proj="blocks.{i}.attn.out_proj",
    gate_up=("blocks.{i}.ffn.up_proj",),
    down="blocks.{i}.ffn.down_proj",
)
_PLAIN = ("attn_type", "alibi", "alibi_bias_max", "prefix_lm", "qk_ln", "attn_uses_sequence_id")


def describe(config: Config) -> Decoder:
    """Describe MPT. Raises UnsupportedModel for settings that transformers' class does not look at either."""
    attention = config.part("attn_config", _ATTENTION)
    stated = {key: attention[key] for key in _PLAIN} | {"expansion_ratio": config["expansion_ratio"]}
    usual = {**_ATTENTION, "expansion_ratio": DEFAULTS["expansion_ratio"]}
    odd = next((key for key, value in stated.items() if value != usual[key]), None)
    if odd is not None:
        raise UnsupportedModel(f"MPT with {odd} {stated[odd]!r} is not supported", hint=SUPPORTED)
    heads, hidden = config.integer("n_heads"), config.integer("d_model")
    scaled = attention.get("softmax_scale") is not None
    return Decoder(
        model_type="mpt",
        names=_NAMES,
        layers=config.integer("n_layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=hidden // heads,
        intermediate=4 * hidden,
        vocabulary=config.integer("vocab_size"),
        longest=config.integer("max_seq_len"),
        norm=layer_norm(config, "layer_norm_epsilon"),
        activation="gelu",
        gated=False,
        alibi=evenly(heads),
        tied=config.flag("tie_word_embeddings"),
        clip=cap(attention, "clip_qkv"),
        scale=above_zero(attention, "softmax_scale") if scaled else 0.0,
    )
