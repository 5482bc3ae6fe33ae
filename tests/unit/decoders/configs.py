"""Random configs of every family, as people write them: stated, left out, null, in old and in new names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Config = dict[str, Any]
Own = Callable[[Config, int], st.SearchStrategy[Config]]
ACTIVATIONS = ("silu", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "gelu_fast", "swish", "relu2")


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A value, or the key is absent (``...``)."""
    return st.one_of(st.just(...), strategy)


def table(**keys: Any) -> st.SearchStrategy[Config]:
    return st.fixed_dictionaries(keys).map(lambda made: {key: value for key, value in made.items() if value is not ...})


FLAG = maybe(st.booleans())
FACTOR = st.sampled_from([1.0, 2.0, 8, 32.0])
THETA = maybe(st.sampled_from([300.0, 10_000, 1e6]))
TRAINED = maybe(st.sampled_from([16, 24, 64]))
SCALINGS = {
    "default": table(rope_type=st.just("default"), rope_theta=THETA),
    "linear": table(rope_type=st.just("linear"), factor=FACTOR, rope_theta=THETA),
    "dynamic": table(rope_type=st.just("dynamic"), factor=FACTOR, rope_theta=THETA),
    "llama3": table(
        rope_type=st.just("llama3"), factor=FACTOR, rope_theta=THETA, original_max_position_embeddings=TRAINED,
        low_freq_factor=st.sampled_from([1.0, 2.0]), high_freq_factor=st.sampled_from([4.0, 5.0]),
    ),
    "yarn": table(
        rope_type=st.just("yarn"), factor=FACTOR, rope_theta=THETA, original_max_position_embeddings=TRAINED,
        attention_factor=maybe(st.sampled_from([0.0, 0.5, 1.3])), mscale=maybe(st.sampled_from([0.0, 0.7, 1.0])),
        mscale_all_dim=maybe(st.sampled_from([0.0, 1.2])), truncate=maybe(st.booleans()),
        beta_fast=maybe(st.sampled_from([0, 8, 32.0])), beta_slow=maybe(st.sampled_from([0, 1, 2.0])),
    ),
}  # fmt: skip


def longrope(pairs: int) -> st.SearchStrategy[Config]:
    factors = st.lists(st.sampled_from([1.0, 1.5, 3.0]), min_size=pairs, max_size=pairs)
    return table(
        rope_type=st.sampled_from(["longrope", "su"]), short_factor=factors, long_factor=factors, rope_theta=THETA,
        factor=maybe(FACTOR), attention_factor=maybe(st.sampled_from([1.0, 1.2])),
    )  # fmt: skip


OWN_HEADS = (
    "llama", "mistral", "qwen3", "gemma", "gemma2", "gemma3_text", "glm", "glm4", "ernie4_5", "arcee", "seed_oss",
    "ministral", "ministral3",
)  # fmt: skip
NEEDS_HEAD = ("helium", "ministral", "hunyuan_v1_dense")  # transformers' class cannot do without it
EPSILONS = {
    "olmo": "", "stablelm": "layer_norm_eps", "phi": "layer_norm_eps", "cohere": "layer_norm_eps",
    "cohere2": "layer_norm_eps", "starcoder2": "norm_epsilon", "nemotron": "norm_eps",
}  # fmt: skip


@st.composite
def llama_like(draw: st.DrawFn, family: str) -> Config:
    """Sizes that all of LLaMA's relatives have, and their own settings."""
    kv_heads, group = draw(st.sampled_from([1, 2])), draw(st.sampled_from([1, 2, 3]))
    heads, head = kv_heads * group, draw(st.sampled_from([16, 32]))
    own = family in OWN_HEADS and draw(st.booleans())
    config: Config = {
        "model_type": family, "vocab_size": 96, "hidden_size": heads * (8 if own else head), "intermediate_size": 48,
        "num_hidden_layers": draw(st.integers(1, 4)), "num_attention_heads": heads, "num_key_value_heads": kv_heads,
        "max_position_embeddings": draw(st.sampled_from([48, 64, 256])), "pad_token_id": None,
        "bos_token_id": 1, "eos_token_id": 2,
        **({"head_dim": head} if own else {}),
        **draw(table(tie_word_embeddings=maybe(st.booleans()))),
        **({"head_dim": head} if family in NEEDS_HEAD else {}),
    }  # fmt: skip
    epsilon = EPSILONS.get(family, "rms_norm_eps")
    if epsilon:
        config |= draw(table(**{epsilon: maybe(st.sampled_from([1e-6, 1e-3]))}))
    activation = "hidden_activation" if family in ("gemma2", "gemma3_text") else "hidden_act"
    return config | draw(table(**{activation: maybe(st.sampled_from(ACTIVATIONS))})) | draw(_OWN[family](config, head))


def scaled(config: Config, head: int) -> st.SearchStrategy[Config]:
    """rope_parameters as transformers 5 writes them, or what transformers 4 wrote beside each other."""
    kinds = st.one_of(*SCALINGS.values(), longrope(head // 2).filter(lambda made: made["rope_type"] == "longrope"))
    older = table(rope_theta=THETA, rope_scaling=maybe(st.none() | kinds))
    newer = table(rope_parameters=maybe(kinds), partial_rotary_factor=maybe(st.sampled_from([0.5, 1.0])))
    return st.one_of(older, newer)


def joined(*parts: st.SearchStrategy[Config]) -> st.SearchStrategy[Config]:
    return st.tuples(*parts).map(lambda made: {key: value for part in made for key, value in part.items()})


WINDOW = maybe(st.none() | st.sampled_from([2, 5, 16, 100]))


def kinds(config: Config) -> st.SearchStrategy[Any]:
    layers = config["num_hidden_layers"]
    each = st.sampled_from(["full_attention", "sliding_attention"])
    return maybe(st.none() | st.lists(each, min_size=layers, max_size=layers))


def llama(config: Config, head: int) -> st.SearchStrategy[Config]:
    return joined(scaled(config, head), table(attention_bias=maybe(st.booleans()), mlp_bias=maybe(st.booleans())))


def mistral(config: Config, head: int) -> st.SearchStrategy[Config]:
    return joined(scaled(config, head), table(sliding_window=WINDOW))


def qwen2(config: Config, head: int) -> st.SearchStrategy[Config]:
    windows = table(
        use_sliding_window=maybe(st.booleans()), sliding_window=WINDOW, layer_types=kinds(config),
        max_window_layers=maybe(st.integers(0, 3)),
    )  # fmt: skip
    return joined(scaled(config, head), windows)


def qwen3(config: Config, head: int) -> st.SearchStrategy[Config]:
    return joined(qwen2(config, head), table(attention_bias=maybe(st.booleans())))


def phi3(config: Config, head: int) -> st.SearchStrategy[Config]:
    def rotary(share: float) -> st.SearchStrategy[Config]:
        scaling = st.one_of(SCALINGS["default"], longrope(int(head * share) // 2))
        beside = table(partial_rotary_factor=st.just(share), original_max_position_embeddings=st.sampled_from([32, 48]))
        within = scaling.map(lambda made: {"rope_parameters": {**made, "partial_rotary_factor": share}})
        return joined(beside, st.one_of(scaling.map(lambda made: {"rope_scaling": made}), within))

    return joined(st.sampled_from([0.5, 0.75, 1.0]).flatmap(rotary), table(sliding_window=WINDOW))


def gemma(config: Config, head: int) -> st.SearchStrategy[Config]:
    own = table(attention_bias=maybe(st.booleans()), use_bidirectional_attention=maybe(st.none() | st.just(False)))
    return joined(scaled(config, head), own)


def gemma2(config: Config, head: int) -> st.SearchStrategy[Config]:
    cap = maybe(st.none() | st.sampled_from([2.0, 20.0]))
    own = table(
        query_pre_attn_scalar=maybe(st.sampled_from([8, 144])), attn_logit_softcapping=cap,
        final_logit_softcapping=cap, sliding_window=WINDOW, layer_types=kinds(config),
    )  # fmt: skip
    return joined(gemma(config, head), own)


def gemma3_text(config: Config, head: int) -> st.SearchStrategy[Config]:
    flat = st.one_of(*SCALINGS.values())
    by_kind = table(full_attention=maybe(st.none() | flat), sliding_attention=maybe(flat))
    older = table(rope_theta=THETA, rope_local_base_freq=THETA, rope_scaling=maybe(st.none() | flat))
    own = table(sliding_window_pattern=maybe(st.integers(1, 3)), sliding_window=WINDOW, layer_types=kinds(config))
    rotary = st.one_of(older, table(rope_parameters=by_kind))
    bare = gemma2(config, head).map(
        lambda made: {k: v for k, v in made.items() if not k.startswith("rope") and k != "partial_rotary_factor"}
    )
    return joined(bare, own, rotary)


_OWN = {
    "llama": llama, "mistral": mistral, "qwen2": qwen2, "qwen3": qwen3, "phi3": phi3, "gemma": gemma, "gemma2": gemma2,
    "gemma3_text": gemma3_text,
}  # fmt: skip


@st.composite
def gpt2(draw: st.DrawFn) -> Config:
    made = table(
        n_inner=maybe(st.none() | st.just(40)), activation_function=maybe(st.sampled_from(ACTIVATIONS)),
        layer_norm_epsilon=maybe(st.sampled_from([1e-5, 1e-3])), scale_attn_weights=maybe(st.booleans()),
        scale_attn_by_inverse_layer_idx=maybe(st.booleans()), reorder_and_upcast_attn=maybe(st.booleans()),
        tie_word_embeddings=maybe(st.booleans()),
    )  # fmt: skip
    hidden = draw(st.sampled_from(["n_embd", "hidden_size"]))
    return {
        "model_type": "gpt2", "vocab_size": 96, hidden: 32, "n_layer": draw(st.integers(1, 3)), "n_head": 2,
        "n_positions": 48, "bos_token_id": 1, "eos_token_id": 2, **draw(made),
    }  # fmt: skip


@st.composite
def gpt_neox(draw: st.DrawFn) -> Config:
    share = st.sampled_from([0.25, 0.5, 1.0])
    kinds = st.one_of(*SCALINGS.values())
    older = table(rotary_pct=maybe(share), rotary_emb_base=THETA, rope_scaling=maybe(kinds))
    newer = table(rope_parameters=maybe(kinds), partial_rotary_factor=maybe(share))
    own = table(
        hidden_act=maybe(st.sampled_from(ACTIVATIONS)), attention_bias=maybe(st.booleans()),
        use_parallel_residual=maybe(st.booleans()), tie_word_embeddings=maybe(st.booleans()),
        layer_norm_eps=maybe(st.sampled_from([1e-5, 1e-3])),
    )  # fmt: skip
    return {
        "model_type": "gpt_neox", "vocab_size": 96, "hidden_size": 64, "num_attention_heads": 2,
        "num_hidden_layers": draw(st.integers(1, 3)), "intermediate_size": 48, "max_position_embeddings": 64,
        "bos_token_id": 1, "eos_token_id": 2, **draw(st.one_of(older, newer)), **draw(own),
    }  # fmt: skip


@st.composite
def gemma3(draw: st.DrawFn) -> Config:
    text = draw(llama_like("gemma3_text"))
    return {
        "model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"], "text_config": text,
        "vision_config": {"model_type": "siglip_vision_model", "num_attention_heads": 2, "hidden_size": 16,
                          "intermediate_size": 16, "num_hidden_layers": 1, "image_size": 28, "patch_size": 14},
        "mm_tokens_per_image": 4, "image_token_index": 5, "boi_token_index": 6, "eoi_token_index": 7,
        **draw(table(tie_word_embeddings=maybe(st.booleans()))),
    }  # fmt: skip


@st.composite
def gemma4_text(draw: st.DrawFn) -> Config:
    count, shared = draw(st.integers(2, 3)), draw(st.integers(0, 2))
    sliding, full = "sliding_attention", "full_attention"
    kinds_ = [sliding, full][-count:] + ([sliding] * (count - 2)) + [sliding] * (shared - 1) + [full] * min(shared, 1)
    kinds_ = kinds_ if kinds_[-1] == full else [*kinds_[:-1], full]
    heads, kv_heads = draw(st.sampled_from([(2, 1), (4, 2), (4, 4)]))
    own = table(
        head_dim=st.sampled_from([16, 24]), global_head_dim=maybe(st.sampled_from([16, 32])), attention_bias=FLAG,
        attention_k_eq_v=FLAG, num_global_key_value_heads=maybe(st.none() | st.sampled_from([1, 2])),
        use_double_wide_mlp=FLAG, hidden_size_per_layer_input=st.sampled_from([0, 8, 16]), sliding_window=st.just(7),
        final_logit_softcapping=maybe(st.none() | st.just(5.0)), tie_word_embeddings=FLAG,
        hidden_activation=maybe(st.sampled_from(ACTIVATIONS)), rms_norm_eps=maybe(st.sampled_from([1e-6, 1e-3])),
        enable_moe_block=FLAG, num_experts=st.sampled_from([4, 5]), top_k_experts=st.sampled_from([1, 3]),
        moe_intermediate_size=st.sampled_from([16, 40]),
    )  # fmt: skip
    return {
        "model_type": "gemma4_text", "vocab_size": 96, "vocab_size_per_layer_input": 96, "hidden_size": 48,
        "intermediate_size": 40, "num_hidden_layers": len(kinds_), "layer_types": kinds_, "bos_token_id": 1,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "num_kv_shared_layers": shared,
        "max_position_embeddings": 64, "pad_token_id": None, "eos_token_id": 2, **draw(own),
    }  # fmt: skip


@st.composite
def gemma3n_text(draw: st.DrawFn) -> Config:
    made, shared = draw(st.integers(2, 3)), draw(st.integers(0, 2))
    kinds_ = ["sliding_attention", "full_attention", "sliding_attention"]
    kinds_ = [*kinds_[:made], *kinds_[:shared]]
    heads, kv_heads = draw(st.sampled_from([(2, 1), (4, 2), (4, 4)]))
    streams, layers = draw(st.integers(2, 4)), len(kinds_)
    sparse = st.lists(st.sampled_from([0.0, 0.3, 0.95]), min_size=layers, max_size=layers)
    inner = st.lists(st.sampled_from([24, 40]), min_size=layers, max_size=layers)
    own = table(
        head_dim=st.sampled_from([16, 24]), attention_bias=FLAG, sliding_window=st.just(7), tie_word_embeddings=FLAG,
        final_logit_softcapping=maybe(st.just(5.0)), rope_theta=THETA, rope_local_base_freq=THETA,
        hidden_activation=maybe(st.sampled_from(ACTIVATIONS)), rms_norm_eps=maybe(st.sampled_from([1e-6, 1e-3])),
        activation_sparsity_pattern=maybe(st.none() | sparse), intermediate_size=st.just(40) | inner,
        altup_active_idx=maybe(st.integers(0, streams - 1)), altup_correct_scale=FLAG,
        vocab_size_per_layer_input=st.sampled_from([90, 96]),
    )  # fmt: skip
    return {
        "model_type": "gemma3n_text", "vocab_size": 96, "hidden_size": 48, "num_hidden_layers": layers,
        "layer_types": kinds_, "num_attention_heads": heads, "num_key_value_heads": kv_heads,
        "num_kv_shared_layers": shared, "hidden_size_per_layer_input": 8, "laurel_rank": 8,
        "altup_num_inputs": streams, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1,
        "eos_token_id": 2, **draw(own),
    }  # fmt: skip


@st.composite
def gemma3n(draw: st.DrawFn) -> Config:
    return {
        "model_type": "gemma3n", "architectures": ["Gemma3nForConditionalGeneration"],
        "text_config": draw(gemma3n_text()), "image_token_id": 5,
        **draw(table(tie_word_embeddings=maybe(st.booleans()))),
    }  # fmt: skip


@st.composite
def lfm2(draw: st.DrawFn) -> Config:
    layers, (heads, kv_heads) = draw(st.integers(1, 4)), draw(st.sampled_from([(2, 1), (4, 2), (3, 3)]))
    listed = st.lists(st.sampled_from(["conv", "full_attention"]), min_size=layers, max_size=layers)
    own = table(
        conv_L_cache=maybe(st.integers(1, 5)), conv_bias=FLAG, block_auto_adjust_ff_dim=FLAG, tie_embedding=FLAG,
        block_multiple_of=st.sampled_from([8, 20]), block_ffn_dim_multiplier=maybe(st.sampled_from([1, 1.3])),
        layer_types=maybe(listed), full_attn_idxs=maybe(st.just([0, 2])), rope_theta=THETA,
        norm_eps=maybe(st.sampled_from([1e-6, 1e-3])),
    )  # fmt: skip
    return {
        "model_type": "lfm2", "vocab_size": 96, "hidden_size": heads * 16, "num_hidden_layers": layers,
        draw(st.sampled_from(["block_ff_dim", "intermediate_size"])): 48, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2,
        "pad_token_id": None, **draw(own),
    }  # fmt: skip


@st.composite
def lfm2_moe(draw: st.DrawFn) -> Config:
    layers, (heads, kv_heads) = draw(st.integers(1, 4)), draw(st.sampled_from([(2, 1), (4, 2), (3, 3)]))
    listed = st.lists(st.sampled_from(["conv", "full_attention"]), min_size=layers, max_size=layers)
    own = table(
        conv_bias=FLAG, tie_embedding=FLAG, layer_types=listed, num_dense_layers=maybe(st.integers(0, 2)),
        num_experts=st.sampled_from([4, 5]), num_experts_per_tok=st.sampled_from([1, 2, 4]), use_expert_bias=FLAG,
        norm_topk_prob=FLAG, routed_scaling_factor=maybe(st.sampled_from([1, 0.5])), rope_theta=THETA,
        moe_intermediate_size=st.sampled_from([16, 40]), norm_eps=maybe(st.sampled_from([1e-6, 1e-3])),
    )  # fmt: skip
    return {
        "model_type": "lfm2_moe", "vocab_size": 96, "hidden_size": heads * 16, "num_hidden_layers": layers,
        "intermediate_size": 48, "num_attention_heads": heads, "num_key_value_heads": kv_heads,
        "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None, **draw(own),
    }  # fmt: skip


@st.composite
def qwen3_5_text(draw: st.DrawFn, family: str = "qwen3_5_text") -> Config:
    layers, (heads, kv_heads) = draw(st.integers(1, 4)), draw(st.sampled_from([(2, 1), (4, 2)]))
    listed = st.lists(st.sampled_from(["linear_attention", "full_attention"]), min_size=layers, max_size=layers)
    linear = draw(st.sampled_from([(1, 1), (1, 3), (2, 2), (2, 4)]))
    own = table(
        layer_types=maybe(listed), full_attention_interval=maybe(st.integers(1, 3)), attention_bias=FLAG,
        rope_theta=THETA, partial_rotary_factor=maybe(st.sampled_from([0.5, 1.0])), tie_word_embeddings=FLAG,
        linear_conv_kernel_dim=maybe(st.integers(2, 5)), rms_norm_eps=maybe(st.sampled_from([1e-6, 1e-3])),
        hidden_act=maybe(st.sampled_from(["silu", "gelu"])),
    )  # fmt: skip
    experts = table(
        num_experts=st.just(5), num_experts_per_tok=st.integers(1, 3), moe_intermediate_size=st.just(16),
        shared_expert_intermediate_size=st.sampled_from([16, 24]), norm_topk_prob=FLAG,
        mlp_only_layers=maybe(st.none() | st.just([1])), decoder_sparse_step=maybe(st.integers(1, 2)),
    ).map(lambda made: {k: v for k, v in made.items() if family == "qwen3_next" or k in _EVERYWHERE})  # fmt: skip
    return {
        "model_type": family, "vocab_size": 96, "hidden_size": 48, "num_hidden_layers": layers,
        "intermediate_size": 40, "num_attention_heads": heads, "num_key_value_heads": kv_heads,
        "head_dim": draw(st.sampled_from([16, 32, 64])), "linear_num_key_heads": linear[0],
        "linear_num_value_heads": linear[1], "linear_key_head_dim": draw(st.sampled_from([8, 20])),
        "linear_value_head_dim": draw(st.sampled_from([8, 12])), "max_position_embeddings": 64, "bos_token_id": 1,
        "eos_token_id": 2, "pad_token_id": None, **draw(own), **(draw(experts) if family != "qwen3_5_text" else {}),
    }  # fmt: skip


_EVERYWHERE = ("num_experts", "num_experts_per_tok", "moe_intermediate_size", "shared_expert_intermediate_size")


@st.composite
def qwen3_5(draw: st.DrawFn, experts: str = "") -> Config:
    kind = "qwen3_5_moe" if experts else "qwen3_5"
    return {
        "model_type": kind, "architectures": [f"Qwen3_5{experts}ForConditionalGeneration"],
        "text_config": draw(qwen3_5_text(f"{kind}_text")), "image_token_id": 5, "video_token_id": 6,
        "vision_start_token_id": 7, "vision_end_token_id": 8,
        "vision_config": {"depth": 1, "num_heads": 2, "hidden_size": 16, "intermediate_size": 16,
                          "out_hidden_size": 48, "num_position_embeddings": 16},
        **draw(table(tie_word_embeddings=FLAG)),
    }  # fmt: skip


@st.composite
def gemma4(draw: st.DrawFn) -> Config:
    return {
        "model_type": "gemma4", "architectures": ["Gemma4ForConditionalGeneration"],
        "text_config": {**draw(gemma4_text()), "pad_token_id": 0}, "vision_config": None,
        "audio_config": None, "image_token_id": 5,
        **draw(table(tie_word_embeddings=maybe(st.booleans()))),
    }  # fmt: skip


@st.composite
def mistral3(draw: st.DrawFn) -> Config:
    text = draw(llama_like("mistral"))
    return {
        "model_type": "mistral3", "architectures": ["Mistral3ForConditionalGeneration"], "text_config": text,
        "vision_config": {"model_type": "pixtral", "num_attention_heads": 2, "hidden_size": 16, "head_dim": 8,
                          "intermediate_size": 16, "num_hidden_layers": 1, "image_size": 28, "patch_size": 14},
        "image_token_index": 5, "vision_feature_layer": -1, "spatial_merge_size": 2,
        **draw(table(tie_word_embeddings=maybe(st.booleans()))),
    }  # fmt: skip


def biased(*keys: str, **more: st.SearchStrategy[Any]) -> Own:
    """LLaMA's rotary settings, switches, and what a family has of its own."""
    return lambda config, head: joined(scaled(config, head), table(**dict.fromkeys(keys, FLAG), **more))


def windowed(*keys: str, **more: st.SearchStrategy[Any]) -> Own:
    return lambda config, head: joined(
        biased(*keys, sliding_window=WINDOW, **more)(config, head), table(layer_types=kinds(config))
    )


def partial(*keys: str) -> Own:
    share = maybe(st.sampled_from([0.25, 0.5, 1.0]))
    return lambda config, head: joined(biased(*keys)(config, head), table(partial_rotary_factor=share))


def smollm3(config: Config, head: int) -> st.SearchStrategy[Config]:
    layers = config["num_hidden_layers"]
    turns = maybe(st.none() | st.lists(st.sampled_from([0, 1]), min_size=layers, max_size=layers))
    own = table(no_rope_layers=turns, no_rope_layer_interval=maybe(st.integers(1, 4)), use_sliding_window=FLAG)
    return joined(windowed("attention_bias", "mlp_bias")(config, head), own)


def olmo3(config: Config, head: int) -> st.SearchStrategy[Config]:
    bare = windowed("attention_bias")(config, head).map(
        lambda made: {k: v for k, v in made.items() if not k.startswith("rope") and k != "partial_rotary_factor"}
    )
    flat = st.one_of(*SCALINGS.values())
    older = table(rope_theta=THETA, rope_scaling=maybe(st.none() | flat))
    by_kind = table(full_attention=flat, sliding_attention=flat)
    return joined(bare, st.one_of(older, table(rope_parameters=maybe(by_kind))))


def ministral3(config: Config, head: int) -> st.SearchStrategy[Config]:
    table_ = joined(
        st.one_of(SCALINGS["yarn"], SCALINGS["llama3"]),
        table(
            llama_4_scaling_beta=st.sampled_from([0, 0.1]), original_max_position_embeddings=st.sampled_from([24, 64])
        ),
    )
    return table(rope_parameters=maybe(table_), sliding_window=WINDOW)


def hunyuan(config: Config, head: int) -> st.SearchStrategy[Config]:
    alpha = table(type=st.just("dynamic"), alpha=st.sampled_from([100.0, 1000.0]), factor=st.just(1.0))
    older = table(rope_theta=THETA, rope_scaling=maybe(alpha))
    return joined(st.one_of(scaled(config, head), older), table(attention_bias=FLAG, head_dim=st.just(head)))


_OWN |= {
    "smollm3": smollm3, "olmo3": olmo3, "ministral3": ministral3, "hunyuan_v1_dense": hunyuan,
    "olmo": biased("attention_bias", clip_qkv=maybe(st.none() | st.sampled_from([0.5, 4]))),
    "olmo2": biased("attention_bias"),
    "nanochat": biased("attention_bias", final_logit_softcapping=maybe(st.none() | st.just(3.0))),
    "granite": biased(
        "attention_bias", "mlp_bias", embedding_multiplier=maybe(st.sampled_from([1, 12.0])),
        logits_scaling=maybe(st.sampled_from([3, 8.0])), residual_multiplier=maybe(st.sampled_from([0.22, 1])),
        attention_multiplier=maybe(st.sampled_from([0.0156, 0.3])),
    ),
    "stablelm": partial("use_qkv_bias", "qk_layernorm", "use_parallel_residual"),
    "phi": partial("qk_layernorm"), "nemotron": partial("attention_bias", "mlp_bias"),
    "glm": partial("attention_bias"), "glm4": partial("attention_bias"),
    "starcoder2": biased("use_bias", sliding_window=WINDOW),
    "cohere": biased("attention_bias", "use_qk_norm", logit_scale=maybe(st.sampled_from([0.25, 2]))),
    "cohere2": windowed("attention_bias", logit_scale=maybe(st.sampled_from([0.25, 2]))),
    "exaone4": windowed(sliding_window_pattern=maybe(st.none() | st.sampled_from([2, 4, "LLLG"]))),
    "ernie4_5": biased("use_bias"), "arcee": biased("attention_bias", "mlp_bias"),
    "helium": biased("attention_bias", "mlp_bias"),
    "seed_oss": biased("attention_bias", "attention_out_bias", "mlp_bias"), "ministral": windowed(),
    "apertus": biased("attention_bias"),
}  # fmt: skip


def experts(*keys: str, count: str = "num_local_experts", **more: st.SearchStrategy[Any]) -> Own:
    """A family of experts with a window."""
    sizes = {count: st.sampled_from([4, 5]), "num_experts_per_tok": st.sampled_from([1, 2, 4])}
    return biased(*keys, sliding_window=WINDOW, **sizes, **more)


def phimoe(config: Config, head: int) -> st.SearchStrategy[Config]:
    scales = table(short_mscale=st.sampled_from([1.0, 1.2]), long_mscale=st.sampled_from([1.1, 1.3]),
                   original_max_position_embeddings=st.sampled_from([24, 64]))  # fmt: skip
    kinds = joined(longrope(head // 2).filter(lambda made: made["rope_type"] == "longrope"), scales)
    return table(
        router_jitter_noise=maybe(st.sampled_from([0.01, 0.4])), rope_parameters=maybe(kinds), sliding_window=WINDOW,
        num_local_experts=st.just(5), attention_bias=FLAG, lm_head_bias=FLAG,
    )  # fmt: skip


def gpt_oss(config: Config, head: int) -> st.SearchStrategy[Config]:
    scaling = st.one_of(SCALINGS["yarn"], SCALINGS["default"])
    own = experts("attention_bias", swiglu_limit=maybe(st.sampled_from([0.5, 7.0])), head_dim=st.just(head),
                  rope_parameters=maybe(scaling))(config, head)  # fmt: skip
    bare = own.map(lambda made: {k: v for k, v in made.items() if k in ("rope_parameters",) or "rope" not in k})
    return joined(bare, table(layer_types=kinds(config), sliding_window=st.sampled_from([5, 16])))


_OWN |= {
    "mixtral": experts(), "phimoe": phimoe, "gpt_oss": gpt_oss,
    "granitemoe": experts("attention_bias", residual_multiplier=maybe(st.just(0.22)),
                          logits_scaling=maybe(st.just(3)), embedding_multiplier=maybe(st.just(12.0))),
    "qwen3_moe": experts(
        "attention_bias", "norm_topk_prob", "use_sliding_window", count="num_experts",
        moe_intermediate_size=st.sampled_from([16, 40]), decoder_sparse_step=maybe(st.sampled_from([1, 2])),
        mlp_only_layers=maybe(st.none() | st.just([0])),
    ),
}  # fmt: skip


def _gpt(family: str, **own: st.SearchStrategy[Any]) -> st.SearchStrategy[Config]:
    sizes = {
        "model_type": family, "vocab_size": 96, "n_embd": 32, "n_head": 2, "n_positions": 48, "bos_token_id": 1,
        "eos_token_id": 2,
    }  # fmt: skip
    made = table(
        n_layer=st.integers(1, 3), n_inner=maybe(st.none() | st.just(40)), tie_word_embeddings=FLAG,
        activation_function=maybe(st.sampled_from(ACTIVATIONS)),
        layer_norm_epsilon=maybe(st.sampled_from([1e-5, 1e-3])), **own,
    )  # fmt: skip
    return made.map(lambda drawn: {**sizes, **drawn})


def _wide(family: str, **own: st.SearchStrategy[Any]) -> st.SearchStrategy[Config]:
    sizes = {
        "model_type": family, "vocab_size": 96, "hidden_size": 64, "num_attention_heads": 4, "bos_token_id": 1,
        "eos_token_id": 2, "pad_token_id": None, "num_hidden_layers": 2,
    }  # fmt: skip
    return table(tie_word_embeddings=FLAG, **own).map(lambda drawn: {**sizes, **drawn})


_OPT = _wide(
    "opt", ffn_dim=st.just(40), max_position_embeddings=st.just(48), do_layer_norm_before=FLAG, enable_bias=FLAG,
    word_embed_proj_dim=maybe(st.none() | st.sampled_from([48, 64])), layer_norm_elementwise_affine=FLAG,
    activation_function=maybe(st.sampled_from(ACTIVATIONS)), _remove_final_layer_norm=FLAG,
)  # fmt: skip
_FALCON = _wide(
    "falcon", num_kv_heads=maybe(st.none() | st.sampled_from([1, 2, 4])), new_decoder_architecture=FLAG,
    multi_query=FLAG, parallel_attn=FLAG, bias=FLAG, num_ln_in_parallel_attn=maybe(st.none() | st.integers(1, 2)),
    ffn_hidden_size=maybe(st.none() | st.just(40)), activation=maybe(st.sampled_from(ACTIVATIONS)), rope_theta=THETA,
    layer_norm_epsilon=maybe(st.sampled_from([1e-5, 1e-3])), alibi=FLAG,
)  # fmt: skip
_ATTENTION = table(
    clip_qkv=maybe(st.none() | st.just(2.0)), softmax_scale=maybe(st.none() | st.just(0.3)),
    alibi_bias_max=maybe(st.just(4)),
)  # fmt: skip
_MPT = table(
    n_heads=st.sampled_from([2, 3]), n_layers=st.integers(1, 2), tie_word_embeddings=FLAG, attn_config=maybe(_ATTENTION)
).map(lambda drawn: {"model_type": "mpt", "vocab_size": 96, "d_model": 48, "max_seq_len": 64, **drawn})
CONFIGS = {name: llama_like(name) for name in _OWN} | {
    "gpt2": gpt2(), "gpt_neox": gpt_neox(), "gemma3": gemma3(), "gemma3n": gemma3n(),
    "gemma3n_text": gemma3n_text(), "gemma4": gemma4(),
    "gemma4_text": gemma4_text(), "lfm2": lfm2(), "lfm2_moe": lfm2_moe(), "mistral3": mistral3(), "opt": _OPT,
    "qwen3_5": qwen3_5(), "qwen3_5_text": qwen3_5_text(), "qwen3_5_moe": qwen3_5("Moe"),
    "qwen3_5_moe_text": qwen3_5_text("qwen3_5_moe_text"), "qwen3_next": qwen3_5_text("qwen3_next"),
    "falcon": _FALCON, "mpt": _MPT,
    "gptj": _gpt("gptj", rotary_dim=st.sampled_from([4, 8, 16])),
    "codegen": _gpt("codegen", rotary_dim=st.sampled_from([4, 8, 16])),
    "gpt_bigcode": _gpt("gpt_bigcode", multi_query=FLAG, scale_attn_weights=FLAG),
    "bloom": _wide("bloom", layer_norm_epsilon=maybe(st.sampled_from([1e-5, 1e-3]))),
}  # fmt: skip
