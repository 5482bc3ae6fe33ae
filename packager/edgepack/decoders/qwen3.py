"""Qwen 3: as Qwen 2, with a norm of each query's and key's head."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder, qwen2
from edgepack.decoders._common import LLAMA, Config

_NAMES = replace(LLAMA, query_norm="layers.{i}.self_attn.q_norm", key_norm="layers.{i}.self_attn.k_norm")


def describe(config: Config) -> Decoder:
    """Heads are 128 wide where the config is silent."""
    return replace(qwen2.describe({"head_dim": 128, **config}), names=_NAMES)
