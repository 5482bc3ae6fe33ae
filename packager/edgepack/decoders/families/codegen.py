"""CodeGen (Nijkamp et al. 2022): GPT-J with q, v and k in one matrix, a quarter of the heads after the other."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder
from edgepack.decoders.families import gptj
from edgepack.decoders.families._common import Config
from edgepack.decoders.settings import CORRECT
from edgepack.errors import ModelError

DEFAULTS = gptj.DEFAULTS
ALIASES, IRRELEVANT, NEUTRAL = gptj.ALIASES, gptj.IRRELEVANT, gptj.NEUTRAL
_NAMES = replace(gptj.NAMES, qkv=("h.{i}.attn.qkv_proj",))


def describe(config: Config) -> Decoder:
    """Describe CodeGen. Raises ModelError for a width that four shards cannot share."""
    hidden = config.integer("n_embd")
    if hidden % 4:
        raise ModelError(f"config.json: n_embd is {hidden}; CodeGen's is a multiple of 4", hint=CORRECT)
    return gptj.named(config, "codegen", names=_NAMES, packing="quarters")
