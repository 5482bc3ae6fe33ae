"""StarCoder 1, SantaCoder (Li et al. 2023): GPT-2 whose queries share one key and one value."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder
from edgepack.decoders.families import gpt2
from edgepack.decoders.families._common import Config

DEFAULTS = {
    "vocab_size": 50_257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_inner": None,
    "activation_function": "gelu_pytorch_tanh", "layer_norm_epsilon": 1e-5, "scale_attn_weights": True,
    "multi_query": True, "tie_word_embeddings": True,
}  # fmt: skip
ALIASES = gpt2.ALIASES
# the precision of a softmax that is float32 here; how another runtime holds its cache; heads of other tasks
IRRELEVANT = (
    "attention_softmax_in_fp32", "scale_attention_softmax_in_fp32", "inference_runner", "max_batch_size",
    "max_sequence_length", "pad_key_length", "pre_allocate_kv_cache", "validate_runner_input", "num_key_value_heads",
    *gpt2.IRRELEVANT,
)  # fmt: skip


def describe(config: Config) -> Decoder:
    """Describe GPT BigCode: without multi_query, q, k and v of a head lie beside each other."""
    shared = config.flag("multi_query")
    made = gpt2.plain(config, "gpt_bigcode")
    return replace(
        made,
        kv_heads=1 if shared else made.heads,
        packing="rows" if shared else "groups",
    )
