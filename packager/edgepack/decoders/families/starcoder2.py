"""StarCoder 2 (Lozhkov et al. 2024): LLaMA's attention with a window, LayerNorm, one product before the activation."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder
from edgepack.decoders.families._common import LLAMA, Config, biases, layer_norm, llama_like, window

DEFAULTS = {
    "vocab_size": 49_152, "hidden_size": 3072, "intermediate_size": 12_288, "num_hidden_layers": 30,
    "num_attention_heads": 24, "num_key_value_heads": 2, "hidden_act": "gelu_pytorch_tanh",
    "max_position_embeddings": 4096, "norm_epsilon": 1e-5, "sliding_window": None, "use_bias": True,
    "tie_word_embeddings": True,
}  # fmt: skip
# the first files say hidden_act and norm_epsilon a second time
IRRELEVANT = ("activation_function", "layer_norm_epsilon")
NEUTRAL = {"norm_type": "layer_norm", "mlp_type": "default", "scale_attn_weights": True}
_NAMES = replace(LLAMA, gate_up=("layers.{i}.mlp.c_fc",), down="layers.{i}.mlp.c_proj")


def describe(config: Config) -> Decoder:
    """Describe StarCoder 2: every layer has the window, where there is one."""
    stated, width = config.flag("use_bias"), window(config)
    return llama_like(
        config,
        names=_NAMES,
        norm=layer_norm(config, "norm_epsilon"),
        gated=False,
        windows=(width,) * config.integer("num_hidden_layers") if width else (),
        biases=biases(qkv=stated, o_proj=stated, gate_up=stated, down=stated, norm=True),
    )
