"""Falcon (Almazrouei et al. 2023): one key for all queries, or one for a group of them; parallel branches."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder, Names
from edgepack.decoders._rope import rotary
from edgepack.decoders.alibi import slopes
from edgepack.decoders.families._common import Config, activation, biases, layer_norm
from edgepack.decoders.settings import CORRECT
from edgepack.errors import ModelError

DEFAULTS = {
    "vocab_size": 65_024, "hidden_size": 4544, "num_hidden_layers": 32, "num_attention_heads": 71,
    "num_ln_in_parallel_attn": None, "layer_norm_epsilon": 1e-5, "num_kv_heads": None, "alibi": False,
    "new_decoder_architecture": False, "multi_query": True, "parallel_attn": True, "bias": False,
    "max_position_embeddings": 2048, "ffn_hidden_size": None, "activation": "gelu", "tie_word_embeddings": True,
}  # fmt: skip
ALIASES = {"n_embed": "hidden_size"}
NEUTRAL = {"apply_residual_connection_post_layernorm": False}
_NAMES = Names(
    prefixes=("transformer.", ""),
    embedding="word_embeddings",
    final="ln_f",
    norm1="h.{i}.input_layernorm",
    norm2="h.{i}.post_attention_layernorm",
    qkv=("h.{i}.self_attention.query_key_value",),
    o_proj="h.{i}.self_attention.dense",
    gate_up=("h.{i}.mlp.dense_h_to_4h",),
    down="h.{i}.mlp.dense_4h_to_h",
)


def describe(config: Config) -> Decoder:
    """Describe Falcon, the new_decoder_architecture with a norm for each branch, and the RW models' ALiBi too."""
    heads, hidden, inner = (
        config.integer("num_attention_heads"), config.integer("hidden_size"), config.maybe("ffn_hidden_size"),
    )  # fmt: skip
    new, many, stated = config.flag("new_decoder_architecture"), config.flag("multi_query"), config.flag("bias")
    parallel, stated_kv = config.flag("parallel_attn"), config.maybe("num_kv_heads")
    kv_heads = (heads if stated_kv is None else stated_kv) if new else 1 if many else heads
    biased, turning = config.flag("alibi"), rotary(config, hidden // heads)
    return Decoder(
        model_type="falcon",
        names=_names(config, new=new, parallel=parallel),
        layers=config.integer("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=hidden // heads,
        intermediate=4 * hidden if inner is None else inner,
        vocabulary=config.integer("vocab_size"),
        longest=config.integer("max_position_embeddings"),
        norm=layer_norm(config, "layer_norm_epsilon"),
        activation=activation(config, "activation"),
        gated=False,
        rotary=None if biased else turning,
        alibi=slopes(heads) if biased else (),
        alibi_by_place=biased,
        parallel=parallel,
        tied=config.flag("tie_word_embeddings"),
        packing="rows" if many and not new else "groups",
        biases=biases(qkv=stated, o_proj=stated, gate_up=stated, down=stated, norm=True),
    )


def _names(config: Config, *, new: bool, parallel: bool) -> Names:
    """Raises ModelError for norms that the class has no place for."""
    count = config.maybe("num_ln_in_parallel_attn")
    count = 2 if new and count is None else count
    if (new and not parallel) or (parallel and (count == 2) != new and count not in (None, 1)):
        raise ModelError(
            f"config.json: num_ln_in_parallel_attn is {count} with parallel_attn {parallel} and "
            f"new_decoder_architecture {new}, which transformers cannot run", hint=CORRECT,
        )  # fmt: skip
    if not parallel:
        return _NAMES
    if count == 2:
        return replace(_NAMES, norm1="h.{i}.ln_attn", norm2="h.{i}.ln_mlp")
    return replace(_NAMES, norm2="")
