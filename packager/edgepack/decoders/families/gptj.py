"""GPT-J (Wang & Komatsuzaki 2021): both branches read one LayerNorm; rotary pairs are neighbours."""

from __future__ import annotations

from edgepack.decoders import Decoder, Names, Norm, Rotary
from edgepack.decoders._rope import THETA
from edgepack.decoders.families._common import Change, Config, activation, biases
from edgepack.decoders.settings import CORRECT
from edgepack.errors import ModelError

DEFAULTS = {
    "vocab_size": 50_400, "n_positions": 2048, "n_embd": 4096, "n_layer": 28, "n_head": 16, "rotary_dim": 64,
    "n_inner": None, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "tie_word_embeddings": False,
}  # fmt: skip
ALIASES = {
    "hidden_size": "n_embd", "max_position_embeddings": "n_positions", "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
}  # fmt: skip
IRRELEVANT = (  # heads of other tasks
    "n_ctx", "summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels",
    "summary_first_dropout",
)  # fmt: skip
NEUTRAL = {"rotary": True, "scale_attn_weights": True}
NAMES = Names(
    prefixes=("transformer.", ""),
    embedding="wte",
    final="ln_f",
    norm1="h.{i}.ln_1",
    norm2="",
    qkv=tuple(f"h.{{i}}.attn.{part}_proj" for part in "qkv"),
    o_proj="h.{i}.attn.out_proj",
    gate_up=("h.{i}.mlp.fc_in",),
    down="h.{i}.mlp.fc_out",
)


def describe(config: Config) -> Decoder:
    """Describe GPT-J."""
    return named(config, "gptj", names=NAMES)


def named(config: Config, model_type: str, **changes: Change) -> Decoder:
    """Return the description with ``changes``."""
    heads, hidden, inner = config.integer("n_head"), config.integer("n_embd"), config.maybe("n_inner")
    width, longest = config.integer("rotary_dim"), config.integer("n_positions")
    if not 0 < width <= hidden // heads or width % 2:
        raise ModelError(f"config.json: rotary_dim is {width}; a head has {hidden // heads}", hint=CORRECT)
    return Decoder(
        model_type=model_type,
        layers=config.integer("n_layer"),
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=hidden // heads,
        intermediate=4 * hidden if inner is None else inner,
        vocabulary=config.integer("vocab_size"),
        longest=longest,
        norm=Norm(kind="layer", epsilon=config.real("layer_norm_epsilon")),
        activation=activation(config, "activation_function"),
        gated=False,
        rotary=Rotary(base=THETA, width=width, trained=longest, longest=longest),
        pairs="neighbours",
        parallel=True,
        tied=config.flag("tie_word_embeddings"),
        biases=biases(gate_up=True, down=True, norm=True, head=True),
        **changes,
    )
