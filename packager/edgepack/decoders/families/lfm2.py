"""LFM2: short gated convolutions in most layers, attention with normed heads in the others."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder, Names, Norm
from edgepack.decoders.families._common import Change, Config, biases, llama_like, places
from edgepack.decoders.settings import CORRECT
from edgepack.documents import JsonDict
from edgepack.errors import ModelError

DEFAULTS = {
    "vocab_size": 65_536, "hidden_size": 2560, "intermediate_size": 12_288, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 128_000, "norm_eps": 1e-5,
    "tie_word_embeddings": True, "conv_bias": False, "conv_L_cache": 3, "block_multiple_of": 256,
    "block_ffn_dim_multiplier": 1.0, "block_auto_adjust_ff_dim": True, "layer_types": None, "full_attn_idxs": None,
}  # fmt: skip
ALIASES = {"tie_embedding": "tie_word_embeddings", "block_ff_dim": "intermediate_size"}
# Published files say them beside what transformers reads; its class has no place for them.
IRRELEVANT = ("block_dim", "block_norm_eps", "block_use_swiglu", "block_use_xavier_init", "block_mlp_init_scale",
              "block_out_init_scale", "conv_dim", "conv_dim_out", "conv_use_xavier_init", "use_pos_enc",
              "num_heads")  # fmt: skip
_THETA = 1_000_000.0
NAMES = Names(
    prefixes=("model.", ""),
    embedding="embed_tokens",
    final="embedding_norm",
    norm1="layers.{i}.operator_norm",
    norm2="layers.{i}.ffn_norm",
    qkv=tuple(f"layers.{{i}}.self_attn.{part}_proj" for part in "qkv"),
    o_proj="layers.{i}.self_attn.out_proj",
    query_norm="layers.{i}.self_attn.q_layernorm",
    key_norm="layers.{i}.self_attn.k_layernorm",
    gate_up=("layers.{i}.feed_forward.w1", "layers.{i}.feed_forward.w3"),
    down="layers.{i}.feed_forward.w2",
)
_CONVOLUTION = replace(
    NAMES, qkv=(), o_proj="", query_norm="", key_norm="", conv_in="layers.{i}.conv.in_proj",
    conv_kernel="layers.{i}.conv.conv", conv_out="layers.{i}.conv.out_proj",
)  # fmt: skip


def describe(config: Config) -> Decoder:
    """Describe LFM2. Raises as ``mixed`` does."""
    return mixed(config, _convolutions(config), intermediate=_inner(config))


def mixed(config: Config, convolving: tuple[bool, ...], **changes: Change) -> Decoder:
    """Return LFM2 with convolutions at ``convolving``, and ``changes``. Raises ModelError."""
    kernel = config.integer("conv_L_cache")
    if kernel < 1:
        raise ModelError(f"config.json: conv_L_cache is {kernel}; it must be at least 1", hint=CORRECT)
    own: JsonDict = {"convolution": kernel, "names": _CONVOLUTION}
    return llama_like(
        config,
        theta=_THETA,
        names=NAMES,
        norm=Norm(kind="rms", epsilon=config.real("norm_eps")),
        activation="silu",
        biases=biases(conv=config.flag("conv_bias")),
        own=tuple(own if here else {} for here in convolving) if any(convolving) else (),
        **changes,
    )


def _inner(config: Config) -> int:
    """Return the width of the feed-forward layer, which transformers makes of intermediate_size."""
    width = config.integer("intermediate_size")
    if not config.flag("block_auto_adjust_ff_dim"):
        config.ignore("block_multiple_of", "block_ffn_dim_multiplier")
        return width
    width, multiple = int(2 * width / 3), config.integer("block_multiple_of")
    if config.get("block_ffn_dim_multiplier") is None:
        return width
    return -(-int(config.real("block_ffn_dim_multiplier") * width) // multiple) * multiple


def _convolutions(config: Config) -> tuple[bool, ...]:
    """Return whether each layer is a convolution: by layer_types, or by full_attn_idxs where there are none."""
    listed = config.get("full_attn_idxs")
    if config.get("layer_types") is not None:
        return stated(config)
    return tuple(listed is not None and layer not in listed for layer in range(config.integer("num_hidden_layers")))


def stated(config: Config) -> tuple[bool, ...]:
    """Return whether each layer is a convolution by layer_types. Raises UnsupportedModel for other kinds."""
    return places(config, config.integer("num_hidden_layers"), "conv")
