"""Qwen 3: as Qwen 2, with a norm of each query's and key's head, and biases only where attention_bias says so."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder
from edgepack.decoders.families import qwen2
from edgepack.decoders.families._common import LLAMA, Config, attention_biases

DEFAULTS = {**qwen2.DEFAULTS, "head_dim": 128, "attention_bias": False}
NAMES = replace(LLAMA, query_norm="layers.{i}.self_attn.q_norm", key_norm="layers.{i}.self_attn.k_norm")


def describe(config: Config) -> Decoder:
    """Describe Qwen 3, whose heads are 128 wide where the config is silent."""
    return qwen2.windowed(config, names=NAMES, head_dim=config.integer("head_dim"), biases=attention_biases(config))
