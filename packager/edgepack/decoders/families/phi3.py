"""Phi 3, 3.5 and 4 mini: LLaMA with q, k, v and gate, up stored as one matrix each, and a part of each head turning."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder
from edgepack.decoders._rope import rotary
from edgepack.decoders.families._common import LLAMA, Config, llama_like, window
from edgepack.decoders.settings import SUPPORTED
from edgepack.errors import UnsupportedModel

DEFAULTS = {
    "vocab_size": 32_064, "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": None, "hidden_act": "silu", "max_position_embeddings": 4096,
    "original_max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
    "sliding_window": None,
}  # fmt: skip
# the class has no biases, and Phi 4 mini's file says so in words of its own
NEUTRAL = {
    "attention_bias": False, "mlp_bias": False, "lm_head_bias": False, "full_attn_mod": 1, "interpolate_factor": 1,
}  # fmt: skip
_NAMES = replace(LLAMA, qkv=("layers.{i}.self_attn.qkv_proj",), gate_up=("layers.{i}.mlp.gate_up_proj",))
_OLDER = {"su": "longrope", "yarn": "longrope"}  # names that Phi 3's first files have for it


def describe(config: Config) -> Decoder:
    """Describe Phi 3: every layer has the window, where there is one."""
    made = llama_like(config, names=_NAMES, rotary=None)
    turning = rotary(config, made.head_dim, part=("partial_rotary_factor", 1.0), renamed=_OLDER)
    if turning.scaling["rope_type"] not in ("default", "longrope"):
        raise UnsupportedModel(
            f"Phi 3 has no rotary scaling {turning.scaling['rope_type']!r}, only longrope", hint=SUPPORTED
        )
    width = window(config)
    return replace(made, rotary=turning, windows=(width,) * made.layers if width else ())
