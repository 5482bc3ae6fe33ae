"""Phi 1, 1.5 and 2 (Li et al. 2023): both branches read one LayerNorm; partial rotary positions, biases everywhere."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder
from edgepack.decoders.families._common import LLAMA, Config, biases, layer_norm, llama_like

DEFAULTS = {
    "vocab_size": 51_200, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24,
    "num_attention_heads": 32, "num_key_value_heads": None, "hidden_act": "gelu_new", "max_position_embeddings": 2048,
    "layer_norm_eps": 1e-5, "tie_word_embeddings": False, "qk_layernorm": False,
}  # fmt: skip
_NAMES = replace(
    LLAMA,
    final="final_layernorm",
    norm2="",
    o_proj="layers.{i}.self_attn.dense",
    gate_up=("layers.{i}.mlp.fc1",),
    down="layers.{i}.mlp.fc2",
)


def describe(config: Config) -> Decoder:
    """Describe Phi: queries and keys are normed where qk_layernorm says so."""
    names, normed = _NAMES, config.flag("qk_layernorm")
    if normed:
        each = "layers.{i}.self_attn."
        names = replace(names, query_norm=each + "q_layernorm", key_norm=each + "k_layernorm")
    return llama_like(
        config,
        part=("partial_rotary_factor", 0.5),
        names=names,
        norm=layer_norm(config, "layer_norm_eps"),
        gated=False,
        parallel=True,
        biases=biases(qkv=True, o_proj=True, gate_up=True, down=True, norm=True, head_norm=normed, head=True),
    )
