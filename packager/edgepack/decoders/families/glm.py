"""GLM 4 as Zhipu first published it: LLaMA whose rotary pairs are neighbours, in half of each head."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder, Names
from edgepack.decoders.families._common import LLAMA, Config, biases, llama_like

DEFAULTS = {
    "vocab_size": 151_552, "hidden_size": 4096, "intermediate_size": 13_696, "num_hidden_layers": 40,
    "num_attention_heads": 32, "num_key_value_heads": 2, "head_dim": 128, "hidden_act": "silu",
    "max_position_embeddings": 131_072, "rms_norm_eps": 0.00000015625, "tie_word_embeddings": False,
    "attention_bias": True,
}  # fmt: skip
NAMES = replace(LLAMA, gate_up=("layers.{i}.mlp.gate_up_proj",))


def describe(config: Config) -> Decoder:
    """Describe GLM, whose biases are those of q, k and v."""
    return named(config, NAMES)


def named(config: Config, names: Names) -> Decoder:
    """Return the description with ``names``."""
    return llama_like(
        config,
        part=("partial_rotary_factor", 0.5),
        names=names,
        pairs="neighbours",
        biases=biases(qkv=config.flag("attention_bias")),
    )
