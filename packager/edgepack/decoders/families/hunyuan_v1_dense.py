"""Hunyuan, dense (Tencent): LLaMA with norms of queries and keys after they are turned."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder
from edgepack.decoders._rope import rotary, scaling_table
from edgepack.decoders.families._common import LLAMA, Config, attention_biases, llama_like

DEFAULTS = {
    "vocab_size": 290_943, "hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": None, "hidden_act": "silu", "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "attention_bias": False, "head_dim": None,
}  # fmt: skip
IRRELEVANT = (
    "eod_token_id", "eod_id", "im_start_id", "im_end_id", "im_newline_id", "mask_init_id", "text_start_id",
    "text_end_id", "video_start_id", "video_end_id", "attention_head_dim", "org_vocab_size", "class_num", "pool_type",
    "dense_list", "num_media_embeds", "image_token_id",
)  # fmt: skip
NEUTRAL = {
    "use_qk_norm": True, "use_cla": False, "cla_share_factor": 2, "use_rotary_pos_emb": True, "norm_type": "rms",
    "mlp_bias": False, "add_classification_head": False, "position_embedding_xdrope": False,
}  # fmt: skip
_NAMES = replace(
    LLAMA, query_norm="layers.{i}.self_attn.query_layernorm", key_norm="layers.{i}.self_attn.key_layernorm"
)


def describe(config: Config) -> Decoder:
    """Describe Hunyuan: a scaling "dynamic" with an alpha only makes the base larger."""
    made = llama_like(config, names=_NAMES, rotary=None, turned_first=True, biases=attention_biases(config))
    turning, table = rotary(config, made.head_dim), scaling_table(config)
    table.ignore("beta_fast", "beta_slow", "mscale", "mscale_all_dim")  # not of this scaling
    alpha = table.get("alpha")
    if alpha and table.get("rope_type", table.get("type")) == "dynamic":
        stretch = table.real("alpha") ** (made.head_dim / (made.head_dim - 2))
        turning = replace(turning, base=turning.base * stretch)
    return replace(made, rotary=turning)
