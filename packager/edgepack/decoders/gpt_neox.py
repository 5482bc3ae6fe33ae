"""GPT-NeoX (Black et al. 2022), and with it Pythia and Dolly: parallel branches, partial rotary positions."""

from __future__ import annotations

from edgepack.decoders import Decoder, Names, Norm
from edgepack.decoders._common import Config, activation, rotary

_NAMES = Names(
    prefixes=("gpt_neox.", ""),
    embedding="embed_in",
    final="final_layer_norm",
    norm1="layers.{i}.input_layernorm",
    norm2="layers.{i}.post_attention_layernorm",
    qkv=("layers.{i}.attention.query_key_value",),
    out="layers.{i}.attention.dense",
    inner=("layers.{i}.mlp.dense_h_to_4h",),
    down="layers.{i}.mlp.dense_4h_to_h",
    heads=("embed_out", "lm_head"),
)


def describe(config: Config) -> Decoder:
    """q, k and v of a head lie beside each other."""
    heads, hidden = int(config["num_attention_heads"]), int(config["hidden_size"])
    head = hidden // heads
    based = {"rope_theta": config.get("rotary_emb_base", 10_000), **config}
    return Decoder(
        model_type="gpt_neox",
        names=_NAMES,
        layers=int(config["num_hidden_layers"]),
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head=head,
        inner=int(config["intermediate_size"]),
        vocabulary=int(config["vocab_size"]),
        context=int(config["max_position_embeddings"]),
        norm=Norm(kind="layer", epsilon=float(config.get("layer_norm_eps", 1e-5))),
        activation=activation({"hidden_act": "gelu", **config}, "hidden_act"),
        gated=False,
        rotary=rotary(based, int(head * float(config.get("rotary_pct", 0.25)))),
        parallel=bool(config.get("use_parallel_residual", True)),
        tied=bool(config.get("tie_word_embeddings", False)),
        interleaved=True,
    )
