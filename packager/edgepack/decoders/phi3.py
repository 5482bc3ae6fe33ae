"""Phi 3 and 3.5: LLaMA with q, k, v and gate, up stored as one matrix each."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder
from edgepack.decoders._common import LLAMA, Config, llama_like, windows

_NAMES = replace(LLAMA, qkv=("layers.{i}.self_attn.qkv_proj",), inner=("layers.{i}.mlp.gate_up_proj",))


def describe(config: Config) -> Decoder:
    """Every layer has the window, where there is one."""
    return llama_like(config, names=_NAMES, windows=windows(config, int(config["num_hidden_layers"])))
