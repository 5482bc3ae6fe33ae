"""BLOOM (BigScience 2022): GPT-2's layers with ALiBi in the place of positions, and a norm of the embedding."""

from __future__ import annotations

from edgepack.decoders import Decoder, Names
from edgepack.decoders.alibi import slopes
from edgepack.decoders.families._common import Config, biases, layer_norm
from edgepack.decoders.settings import SUPPORTED
from edgepack.errors import UnsupportedModel

DEFAULTS = {
    "vocab_size": 250_880, "hidden_size": 64, "n_layer": 2, "n_head": 8, "layer_norm_epsilon": 1e-5,
    "apply_residual_connection_post_layernorm": False, "tie_word_embeddings": True,
}  # fmt: skip
ALIASES = {"n_embed": "hidden_size", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head"}
# how Megatron summed and fused, which changes no number's meaning
IRRELEVANT = (
    "slow_but_exact", "attention_softmax_in_fp32", "bias_dropout_fusion", "masked_softmax_fusion", "offset_alibi",
    "skip_bias_add", "skip_bias_add_qkv", "unk_token_id",
)  # fmt: skip
NEUTRAL = {"n_inner": None}
_LONGEST = 2048  # that it was trained with, where seq_length does not say it
_NAMES = Names(
    prefixes=("transformer.", ""),
    embedding="word_embeddings",
    embedding_norm="word_embeddings_layernorm",
    final="ln_f",
    norm1="h.{i}.input_layernorm",
    norm2="h.{i}.post_attention_layernorm",
    qkv=("h.{i}.self_attention.query_key_value",),
    o_proj="h.{i}.self_attention.dense",
    gate_up=("h.{i}.mlp.dense_h_to_4h",),
    down="h.{i}.mlp.dense_4h_to_h",
)


def describe(config: Config) -> Decoder:
    """Describe BLOOM; its longest text is seq_length, which ALiBi itself does not limit. Raises UnsupportedModel."""
    if config.flag("apply_residual_connection_post_layernorm"):
        raise UnsupportedModel("apply_residual_connection_post_layernorm is not supported", hint=SUPPORTED)
    heads, hidden, longest = config.integer("n_head"), config.integer("hidden_size"), config.maybe("seq_length")
    return Decoder(
        model_type="bloom",
        names=_NAMES,
        layers=config.integer("n_layer"),
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=hidden // heads,
        intermediate=4 * hidden,
        vocabulary=config.integer("vocab_size"),
        longest=_LONGEST if longest is None else longest,
        norm=layer_norm(config, "layer_norm_epsilon"),
        activation="gelu_tanh",
        gated=False,
        alibi=slopes(heads),
        tied=config.flag("tie_word_embeddings"),
        packing="groups",
        biases=biases(qkv=True, o_proj=True, gate_up=True, down=True, norm=True),
    )
