"""StableLM 2 and 3B: LLaMA with LayerNorm and partial rotary positions; branches may be parallel, heads normed."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder
from edgepack.decoders._rope import rotary
from edgepack.decoders.families._common import LLAMA, Config, biases, layer_norm, llama_like

DEFAULTS = {
    "vocab_size": 50_304, "hidden_size": 2560, "intermediate_size": 6912, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 32, "hidden_act": "silu", "max_position_embeddings": 4096,
    "layer_norm_eps": 1e-5, "tie_word_embeddings": False, "use_qkv_bias": False, "qk_layernorm": False,
    "use_parallel_residual": False,
}  # fmt: skip


def describe(config: Config) -> Decoder:
    """Describe StableLM: heads have norms of their own where qk_layernorm says so; parallel branches read one norm."""
    hidden, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    names, parallel = LLAMA, config.flag("use_parallel_residual")
    if parallel:
        names = replace(names, norm2="")
    if config.flag("qk_layernorm"):
        each = "layers.{i}.self_attn."
        names = replace(names, query_norm=each + "q_layernorm.norms.{h}", key_norm=each + "k_layernorm.norms.{h}")
    return llama_like(
        config,
        names=names,
        head_dim=hidden // heads,
        kv_heads=config.integer("num_key_value_heads"),
        norm=layer_norm(config, "layer_norm_eps"),
        rotary=rotary(config, hidden // heads, part=("partial_rotary_factor", 0.25)),
        parallel=parallel,
        head_norm="own",
        biases=biases(qkv=config.flag("use_qkv_bias"), norm=True),
    )
