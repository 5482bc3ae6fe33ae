"""GPT-NeoX (Black et al. 2022), and with it Pythia and Dolly: parallel branches, partial rotary positions."""

from __future__ import annotations

from edgepack.decoders import Decoder, Names, Norm
from edgepack.decoders._rope import rotary
from edgepack.decoders.families._common import Config, activation, biases

DEFAULTS = {
    "vocab_size": 50_432, "hidden_size": 6144, "num_hidden_layers": 44, "num_attention_heads": 64,
    "intermediate_size": 24_576, "hidden_act": "gelu", "max_position_embeddings": 2048, "layer_norm_eps": 1e-5,
    "tie_word_embeddings": False, "use_parallel_residual": True, "attention_bias": True,
}  # fmt: skip
IRRELEVANT = ("num_key_value_heads",)  # every query has a key of its own
_NAMES = Names(
    prefixes=("gpt_neox.", ""),
    embedding="embed_in",
    final="final_layer_norm",
    norm1="layers.{i}.input_layernorm",
    norm2="layers.{i}.post_attention_layernorm",
    qkv=("layers.{i}.attention.query_key_value",),
    o_proj="layers.{i}.attention.dense",
    gate_up=("layers.{i}.mlp.dense_h_to_4h",),
    down="layers.{i}.mlp.dense_4h_to_h",
    heads=("embed_out", "lm_head"),
)


def describe(config: Config) -> Decoder:
    """Describe GPT-NeoX, where q, k and v of a head lie beside each other."""
    heads, hidden = config.integer("num_attention_heads"), config.integer("hidden_size")
    stated = config.flag("attention_bias")
    return Decoder(
        model_type="gpt_neox",
        names=_NAMES,
        layers=config.integer("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=hidden // heads,
        intermediate=config.integer("intermediate_size"),
        vocabulary=config.integer("vocab_size"),
        longest=config.integer("max_position_embeddings"),
        norm=Norm(kind="layer", epsilon=config.real("layer_norm_eps")),
        activation=activation(config, "hidden_act"),
        gated=False,
        rotary=rotary(config, hidden // heads, theta="rotary_emb_base", part=("rotary_pct", 0.25)),
        parallel=config.flag("use_parallel_residual"),
        tied=config.flag("tie_word_embeddings"),
        packing="groups",
        biases=biases(qkv=stated, o_proj=stated, gate_up=True, down=True, norm=True),
    )
