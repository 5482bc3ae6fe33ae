"""GLM 4 0414: GLM with a norm of each branch, too."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder
from edgepack.decoders.families import glm
from edgepack.decoders.families._common import Config

DEFAULTS = glm.DEFAULTS
_NAMES = replace(
    glm.NAMES, after_attention="layers.{i}.post_self_attn_layernorm", after_mlp="layers.{i}.post_mlp_layernorm"
)


def describe(config: Config) -> Decoder:
    """Describe GLM 4."""
    return glm.named(config, _NAMES)
