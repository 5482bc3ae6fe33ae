"""nanochat (Karpathy): RMSNorm without weights, of embedding, queries and keys too; squared ReLU; a cap of logits."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder, Norm
from edgepack.decoders.families._common import LLAMA, Config, attention_biases, cap, llama_like
from edgepack.decoders.rotary import attention_factor

DEFAULTS = {
    "vocab_size": 50_304, "hidden_size": 768, "intermediate_size": 8192, "num_hidden_layers": 12,
    "num_attention_heads": 6, "num_key_value_heads": None, "max_position_embeddings": 2048, "hidden_act": "relu2",
    "rms_norm_eps": 1e-6, "final_logit_softcapping": 15.0, "attention_bias": False, "tie_word_embeddings": False,
}  # fmt: skip
_NAMES = replace(
    LLAMA,
    embedding_norm="embedding_norm",
    gate_up=("layers.{i}.mlp.fc1",),
    down="layers.{i}.mlp.fc2",
    query_norm="layers.{i}.self_attn.q_norm",
    key_norm="layers.{i}.self_attn.k_norm",
)


def describe(config: Config) -> Decoder:
    """Describe nanochat: pairs turn backwards, which is the halves of a head the other way round.

    The class turns before it norms: without weights that is the same, unless a scaling multiplies cos and sin, which
    the norm divides out.
    """
    described = llama_like(
        config,
        names=_NAMES,
        norm=Norm(kind="rms", epsilon=config.real("rms_norm_eps"), plain=True),
        pairs="flipped",
        gated=False,
        logits_cap=cap(config, "final_logit_softcapping"),
        biases=attention_biases(config),
    )
    rotary = described.rotary
    scaled = rotary is not None and attention_factor(rotary, rotary.longest) != 1.0
    return replace(described, turned_first=True) if scaled else described
