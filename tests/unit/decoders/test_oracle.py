"""transformers' own model of the same config.json catches a reading that is wrong."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgepack import decoders
from edgepack.decoders import Decoder
from edgepack.errors import ModelError, ReadingDiffers, UnreadSetting, UnsupportedModel
from edgepack.original.oracle import answers, check, greedy, models
from edgepack.original.oracle.shrink import shrink
from edgepack.original.reading import Reading
from edgepack.plans import Subject
from edgepack.records import NotMeasured
from edgepack.runtime import chat
from edgepack.runtime.sampling import Sampler
from edgepack.tasks import text_embedding, text_generation

from .conftest import ALL, FAMILIES, with_tokenizer

Family = Callable[[str], tuple[Path, Any]]
LLAMA: dict[str, Any] = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 128_256, "hidden_size": 2048,
    "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8,
    "head_dim": 64, "max_position_embeddings": 131_072, "rms_norm_eps": 1e-5, "rope_theta": 500_000.0,
    "tie_word_embeddings": True, "eos_token_id": [128_001, 128_008], "bos_token_id": 128_000, "rope_scaling": {
        "factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
}  # fmt: skip
GEMMA: dict[str, Any] = {  # as published: only what differs from the class
    "model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"], "boi_token_index": 255_999,
    "eoi_token_index": 256_000, "eos_token_id": [1, 106], "image_token_index": 262_144, "mm_tokens_per_image": 256,
    "initializer_range": 0.02, "torch_dtype": "bfloat16", "transformers_version": "4.50.0.dev0",
    "text_config": {
        "hidden_size": 2560, "intermediate_size": 10_240, "model_type": "gemma3_text", "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024,
    },
    "vision_config": {
        "hidden_size": 1152, "image_size": 896, "intermediate_size": 4304, "model_type": "siglip_vision_model",
        "num_attention_heads": 16, "num_hidden_layers": 27, "patch_size": 14, "vision_use_head": False,
    },
}  # fmt: skip
MISTRAL: dict[str, Any] = {
    "model_type": "mistral3", "architectures": ["Mistral3ForConditionalGeneration"], "image_token_index": 10,
    "multimodal_projector_bias": False, "projector_hidden_act": "gelu", "spatial_merge_size": 2,
    "torch_dtype": "bfloat16", "vision_feature_layer": -1, "text_config": {
        "attention_dropout": 0.0, "head_dim": 128, "hidden_act": "silu", "hidden_size": 5120,
        "initializer_range": 0.02, "intermediate_size": 32_768, "max_position_embeddings": 131_072,
        "model_type": "mistral", "num_attention_heads": 32, "num_hidden_layers": 40, "num_key_value_heads": 8,
        "rms_norm_eps": 1e-5, "rope_theta": 1e9, "sliding_window": None, "use_cache": True, "vocab_size": 131_072,
    },
    "vision_config": {
        "attention_dropout": 0.0, "head_dim": 64, "hidden_act": "gelu", "hidden_size": 1024, "image_size": 1540,
        "initializer_range": 0.02, "intermediate_size": 4096, "model_type": "pixtral", "num_attention_heads": 16,
        "num_channels": 3, "num_hidden_layers": 24, "patch_size": 14, "rope_theta": 10_000.0,
    },
}  # fmt: skip
MINISTRAL: dict[str, Any] = {
    **MISTRAL, "tie_word_embeddings": True, "text_config": {
        "head_dim": 128, "hidden_size": 3072, "intermediate_size": 9216, "max_position_embeddings": 262_144,
        "model_type": "ministral3", "num_attention_heads": 32, "num_hidden_layers": 26, "num_key_value_heads": 8,
        "rope_parameters": {
            "beta_fast": 32.0, "beta_slow": 1.0, "factor": 16.0, "llama_4_scaling_beta": 0.1, "mscale": 1.0,
            "mscale_all_dim": 1.0, "original_max_position_embeddings": 16_384, "rope_theta": 1_000_000.0,
            "rope_type": "yarn", "type": "yarn",
        },
        "tie_word_embeddings": True, "vocab_size": 131_072,
    },
}  # fmt: skip
PHI: dict[str, Any] = {
    "model_type": "phi3", "architectures": ["Phi3ForCausalLM"], "vocab_size": 200_064, "hidden_size": 3072,
    "intermediate_size": 8192, "num_hidden_layers": 32, "num_attention_heads": 24, "num_key_value_heads": 8,
    "max_position_embeddings": 131_072, "original_max_position_embeddings": 4096, "partial_rotary_factor": 0.75,
    "pad_token_id": 199_999, "sliding_window": 262_144, "tie_word_embeddings": True, "rope_theta": 10_000.0,
    "rope_scaling": {"type": "longrope", "short_factor": [1.0] * 48, "long_factor": [1.0 + i for i in range(48)]},
    "attention_bias": False, "lm_head_bias": False, "mlp_bias": False, "full_attn_mod": 1, "interpolate_factor": 1,
}  # fmt: skip
QWEN: dict[str, Any] = {
    "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "vocab_size": 152_064, "hidden_size": 3584,
    "intermediate_size": 18_944, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
    "max_position_embeddings": 131_072, "max_window_layers": 20, "sliding_window": 131_072,
    "use_sliding_window": True, "rope_theta": 1_000_000.0, "rms_norm_eps": 1e-6, "tie_word_embeddings": False,
}  # fmt: skip


GEMMA_4: dict[str, Any] = {  # E4B
    "model_type": "gemma4", "architectures": ["Gemma4ForConditionalGeneration"], "audio_config": None,
    "vision_config": {"hidden_size": 768, "num_hidden_layers": 16, "model_type": "gemma4_vision"},
    "boi_token_id": 255_999, "eoi_token_id": 258_882, "image_token_id": 258_880, "video_token_id": 258_884,
    "boa_token_id": 256_000, "eoa_token_index": 258_883, "audio_token_id": 258_881, "tie_word_embeddings": True,
    "text_config": {
        "model_type": "gemma4_text", "hidden_size": 2560, "intermediate_size": 10_240, "num_hidden_layers": 42,
        "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 256, "global_head_dim": 512,
        "num_kv_shared_layers": 18, "hidden_size_per_layer_input": 256, "vocab_size_per_layer_input": 262_144,
        "attention_k_eq_v": False, "enable_moe_block": False, "use_double_wide_mlp": False, "sliding_window": 512,
        "final_logit_softcapping": 30.0, "hidden_activation": "gelu_pytorch_tanh", "tie_word_embeddings": True,
        "vocab_size": 262_144, "num_global_key_value_heads": None, "num_experts": None, "top_k_experts": None,
        "rope_parameters": {
            "full_attention": {"partial_rotary_factor": 0.25, "rope_theta": 1e6, "rope_type": "proportional"},
            "sliding_attention": {"rope_theta": 10_000.0, "rope_type": "default"},
        },
    },
}  # fmt: skip
GEMMA_4_DENSE: dict[str, Any] = {  # 31B
    **GEMMA_4, "text_config": {
        **GEMMA_4["text_config"], "hidden_size": 5376, "intermediate_size": 21_504, "num_hidden_layers": 60,
        "num_attention_heads": 32, "num_key_value_heads": 16, "num_global_key_value_heads": 4,
        "attention_k_eq_v": True, "num_kv_shared_layers": 0, "hidden_size_per_layer_input": 0, "sliding_window": 1024,
        "use_bidirectional_attention": "vision",
    },
}  # fmt: skip
GEMMA_4_EXPERTS: dict[str, Any] = {  # 26B-A4B
    **GEMMA_4_DENSE, "text_config": {
        **GEMMA_4_DENSE["text_config"], "hidden_size": 2816, "intermediate_size": 2112, "num_hidden_layers": 30,
        "num_attention_heads": 16, "num_key_value_heads": 8, "num_global_key_value_heads": 2, "num_experts": 128,
        "top_k_experts": 8, "moe_intermediate_size": 704, "enable_moe_block": True,
    },
}  # fmt: skip
GEMMA_3N: dict[str, Any] = {  # E2B
    "model_type": "gemma3n", "architectures": ["Gemma3nForConditionalGeneration"], "audio_token_id": 262_273,
    "audio_soft_tokens_per_image": 188, "vision_soft_tokens_per_image": 256, "boa_token_id": 256_000,
    "boi_token_id": 255_999, "eoa_token_id": 262_272, "eoi_token_id": 262_144, "image_token_id": 262_145,
    "eos_token_id": [1, 106], "initializer_range": 0.02, "torch_dtype": "bfloat16",
    "audio_config": {"model_type": "gemma3n_audio", "hidden_size": 1536, "vocab_offset": 262_272},
    "vision_config": {"model_type": "gemma3n_vision", "architecture": "mobilenetv5_300m_enc", "hidden_size": 2048},
    "text_config": {
        "model_type": "gemma3n_text", "activation_sparsity_pattern": [0.95] * 10 + [0.0] * 20, "altup_active_idx": 0,
        "altup_coef_clip": 120.0, "altup_correct_scale": True, "altup_lr_multiplier": 1.0, "altup_num_inputs": 4,
        "attention_bias": False, "final_logit_softcapping": 30.0, "head_dim": 256, "hidden_size": 2048,
        "hidden_activation": "gelu_pytorch_tanh", "hidden_size_per_layer_input": 256, "laurel_rank": 64,
        "intermediate_size": [8192] * 30, "max_position_embeddings": 32_768, "num_attention_heads": 8,
        "layer_types": (["sliding_attention"] * 4 + ["full_attention"]) * 6, "num_hidden_layers": 30,
        "num_key_value_heads": 2, "num_kv_shared_layers": 10, "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-6,
        "rope_local_base_freq": 10_000.0, "rope_scaling": None, "rope_theta": 1e6, "sliding_window": 512,
        "vocab_size": 262_400, "vocab_size_per_layer_input": 262_144,
    },
}  # fmt: skip
LFM_2: dict[str, Any] = {  # 1.2B
    "model_type": "lfm2", "architectures": ["Lfm2ForCausalLM"], "vocab_size": 65_536, "hidden_size": 2048,
    "block_auto_adjust_ff_dim": True, "block_dim": 2048, "block_ff_dim": 12_288, "block_ffn_dim_multiplier": 1.0,
    "block_mlp_init_scale": 1.0, "block_multiple_of": 256, "block_norm_eps": 1e-5, "block_out_init_scale": 1.0,
    "block_use_swiglu": True, "block_use_xavier_init": True, "conv_L_cache": 3, "conv_bias": False, "conv_dim": 2048,
    "conv_dim_out": 2048, "conv_use_xavier_init": True, "full_attn_idxs": [2, 5, 8, 10, 12, 14], "norm_eps": 1e-5,
    "max_position_embeddings": 128_000, "num_attention_heads": 32, "num_heads": 32, "num_hidden_layers": 16,
    "num_key_value_heads": 8, "rope_theta": 1_000_000.0, "use_pos_enc": True, "bos_token_id": 1, "eos_token_id": 7,
}  # fmt: skip
LFM_2_MOE: dict[str, Any] = {  # 8B-A1B
    "model_type": "lfm2_moe", "architectures": ["Lfm2MoeForCausalLM"], "vocab_size": 65_536, "hidden_size": 2048,
    "intermediate_size": 7168, "moe_intermediate_size": 1792, "num_dense_layers": 2, "num_experts": 32,
    "num_experts_per_tok": 4, "norm_topk_prob": True, "routed_scaling_factor": 1.0, "use_expert_bias": True,
    "num_hidden_layers": 24, "num_attention_heads": 32, "num_key_value_heads": 8, "conv_L_cache": 3,
    "conv_bias": False, "norm_eps": 1e-5, "max_position_embeddings": 128_000, "rope_theta": 1_000_000.0,
    "layer_types": ["full_attention" if i in (2, 6, 10, 14, 18, 21) else "conv" for i in range(24)],
    "bos_token_id": 1, "eos_token_id": 7, "pad_token_id": 0, "use_cache": True,
}  # fmt: skip
QWEN_3_5: dict[str, Any] = {  # 0.8B
    "model_type": "qwen3_5", "architectures": ["Qwen3_5ForConditionalGeneration"], "image_token_id": 248_056,
    "video_token_id": 248_057, "vision_start_token_id": 248_053, "vision_end_token_id": 248_054,
    "tie_word_embeddings": True,
    "vision_config": {"model_type": "qwen3_5", "depth": 12, "hidden_size": 768, "num_heads": 12, "patch_size": 16,
                      "intermediate_size": 3072, "out_hidden_size": 1024, "num_position_embeddings": 2304,
                      "spatial_merge_size": 2, "temporal_patch_size": 2, "in_channels": 3},
    "text_config": {
        "model_type": "qwen3_5_text", "attention_bias": False, "attn_output_gate": True, "dtype": "bfloat16",
        "eos_token_id": 248_044, "full_attention_interval": 4, "head_dim": 256, "hidden_act": "silu",
        "hidden_size": 1024, "intermediate_size": 3584, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128,
        "layer_types": (["linear_attention"] * 3 + ["full_attention"]) * 6, "linear_num_key_heads": 16,
        "linear_num_value_heads": 16, "linear_value_head_dim": 128, "max_position_embeddings": 262_144,
        "mtp_num_hidden_layers": 1, "mtp_use_dedicated_embeddings": False, "num_attention_heads": 8,
        "num_hidden_layers": 24, "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "vocab_size": 248_320,
        "tie_word_embeddings": True, "mamba_ssm_dtype": "float32",
        "rope_parameters": {"mrope_interleaved": True, "mrope_section": [11, 11, 10], "rope_type": "default",
                            "rope_theta": 1e7, "partial_rotary_factor": 0.25},
    },
}  # fmt: skip
PUBLISHED = [LLAMA, GEMMA, GEMMA_4, GEMMA_4_DENSE, GEMMA_4_EXPERTS, GEMMA_3N, LFM_2, LFM_2_MOE, MISTRAL, MINISTRAL]
PUBLISHED += [PHI, QWEN, QWEN_3_5]


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda config: str(config["model_type"]))
def test_published_configs_are_read_as_transformers_reads_them(published: dict[str, Any]) -> None:
    assert check.reading(published) < 1e-5


@pytest.mark.parametrize("name", ALL)
def test_families_as_transformers_saves_them(name: str, family: Family) -> None:
    folder, _ = family(name)
    stated = json.loads((folder / "config.json").read_text())
    reading = decoders.read(stated)
    # linear attention norms what may be nearly nothing, which enlarges rounding
    assert check.reading(stated) < (1e-4 if reading.decoder.recurring else 1e-5)
    assert not reading.unread


def test_experts_of_an_odd_width(family: Family) -> None:
    stated = json.loads((family("qwen3_moe:unnormed")[0] / "config.json").read_text())
    assert check.reading({**stated, "moe_intermediate_size": 33}) < 1e-5


def test_sizes_shrink_and_meaning_stays() -> None:
    small = shrink(GEMMA, models.configuration(GEMMA).get_text_config())["text_config"]
    assert small["num_hidden_layers"] == 6  # the first layer that sees everything is the sixth
    assert small["num_attention_heads"] // small["num_key_value_heads"] == 2
    assert small["rope_scaling"] == GEMMA["text_config"]["rope_scaling"]
    assert small["sliding_window"] < 32
    assert "head_dim" not in small  # the class's default, 256
    small = shrink(LLAMA, models.configuration(LLAMA))
    assert (small["num_attention_heads"], small["num_key_value_heads"], small["head_dim"]) == (8, 2, 64)
    assert small["rope_scaling"] == LLAMA["rope_scaling"]


def misread(**changes: Any) -> Callable[[Any], Decoder]:
    """A reading that is wrong, as one of an earlier version was."""

    def describe(config: Any) -> Decoder:
        return replace(decoders.describe(config), **changes)

    return describe


@pytest.mark.parametrize(
    ("family_name", "changes", "stated", "named"),
    [
        ("gemma2", {"attention_cap": 0.0}, {"attn_logit_softcapping": 2.0}, "."),
        ("gemma3_text", {"attention_cap": 0.5}, {"attn_logit_softcapping": 0.5}, "."),
        ("gemma3_text", {"windows": ()}, {"layer_types": None}, "layer_types|other logits"),
        ("gemma3_text", {"scale": 0.0625}, {"query_pre_attn_scalar": 64}, "with query_pre_attn_scalar left out"),
        ("gemma3_text", {"activation": "gelu_tanh"}, {"hidden_activation": "silu"}, "with hidden_activation left out"),
        ("gemma3_text", {"local_rotary": None}, {"rope_local_base_freq": 50.0}, "."),
        ("gemma3_text", {"heads": 2, "kv_heads": 1}, {}, "num_attention_heads"),
        ("gemma3_text", {"intermediate": 95}, {}, "feed-forward"),
        ("gpt2", {"layer_scaled": False}, {"scale_attn_by_inverse_layer_idx": True}, "with scale_attn_by_inverse"),
    ],
)
def test_a_wrong_reading_is_caught(
    family_name: str, changes: dict[str, Any], stated: dict[str, Any], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, numbers = FAMILIES[family_name]
    config = {**numbers, "model_type": family_name, **stated}
    config.pop("rope_scaling", None)
    monkeypatch.setattr(check, "describe", misread(**changes))
    with pytest.raises(ReadingDiffers, match=named):
        check.reading(config)


def test_angles_are_compared_at_the_model_s_own_length(monkeypatch: pytest.MonkeyPatch) -> None:
    true = decoders.describe(LLAMA)
    assert true.rotary is not None
    near = replace(true.rotary, scaling={**true.rotary.scaling, "factor": 31.9})

    monkeypatch.setattr(check, "describe", lambda c: replace(decoders.describe(c), rotary=near))
    with pytest.raises(ReadingDiffers, match="rotary embedding"):
        check.reading(LLAMA)


def test_what_transformers_refuses_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match=r"transformers .* itself cannot run the model"):
        check.reading({**LLAMA, "hidden_size": 2050, "num_attention_heads": 32})


@pytest.fixture
def llama(family: Family, tmp_path: Path) -> Path:
    """The files that the check looks at."""
    folder, _ = family("llama")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    return with_tokenizer(tmp_path)


def source_of(folder: Path) -> Any:
    """What the check needs of a Source."""
    return SimpleNamespace(name=folder.name, path=folder, origin=folder)


def config_of(folder: Path, **changes: Any) -> dict[str, Any]:
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))
    return dict(config)


def run(folder: Path, **options: Any) -> Any:
    config = json.loads((folder / "config.json").read_text())
    with Reading(
        Subject(source=source_of(folder), task=text_generation, config=config), allow_unread=False, **options
    ) as checked:
        return checked.finish()


def test_the_process_answers_once(llama: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEPACK_CACHE", str(tmp_path / "cache"))
    (figure,) = run(llama)
    assert figure.compressed < 1e-5
    assert figure.passed
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **kwargs: pytest.fail("asked twice"))
    assert run(llama) == (figure,)


def test_other_end_tokens_are_an_error(llama: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config_of(llama, eos_token_id=[1, 106])
    answers.check(llama, llama)
    monkeypatch.setattr(answers, "eos_ids", lambda folder, config: [1])
    with pytest.raises(ReadingDiffers, match=re.escape("[1, 106], the bundle at [1]")):
        answers.check(llama, llama)


@pytest.mark.parametrize(
    ("generation", "top", "text", "ends"),
    [
        ({"eos_token_id": [2, 3]}, 1, None, [2, 3]),
        ({"do_sample": False}, 1, None, []),
        (None, [1, 106], 1, [1, 106]),
        (None, None, 7, [7]),
        (None, None, None, []),
    ],
)
def test_texts_end_where_generate_ends_them(
    generation: dict[str, Any] | None, top: Any, text: Any, ends: list[int], llama: Path
) -> None:
    config = config_of(llama, eos_token_id=top, text_config={"eos_token_id": text})
    if generation is not None:
        (llama / "generation_config.json").write_text(json.dumps(generation))
    assert text_generation.eos_ids(llama, config) == ends == answers.ends(answers.settings(llama))


def test_chat_templates_are_compared(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "{% for m in messages %}{{ m.role }} {{ m.content | trim }} {{ eos_token }} {% endfor %}w3"
    (llama / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "w2", "chat_template": text})
    )
    answers.check(llama, llama)
    monkeypatch.setattr(chat, "special", lambda config: {"eos_token": "w9"})
    with pytest.raises(ReadingDiffers, match="chat template"):
        answers.check(llama, llama)


@pytest.mark.parametrize("name", FAMILIES)
def test_greedy_answers_are_those_of_generate(name: str, family: Family, tmp_path: Path) -> None:
    folder, _ = family(name)
    shutil.copy(folder / "config.json", tmp_path)
    generation = {"repetition_penalty": 1.3, "eos_token_id": [128_001, 2], "pad_token_id": 128_002}
    generation |= {"do_sample": True, "temperature": 0.6, "max_length": 20, "renormalize_logits": True}
    (tmp_path / "generation_config.json").write_text(json.dumps(generation))
    greedy.check(tmp_path, tmp_path)


def test_greedy_answers_of_a_published_config(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(GEMMA))
    greedy.check(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("settings", "key"),
    [({"repetition_penalty": 1.3}, "repetition_penalty"), ({"suppress_tokens": [7]}, "suppress_tokens")],
)
@pytest.mark.parametrize("file", ["generation_config.json", "config.json"])
def test_a_setting_that_a_bundle_passes_over_is_named(
    settings: dict[str, Any], key: str, file: str, llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if file == "config.json":
        config_of(llama, **settings)
    else:
        (llama / file).write_text(json.dumps({"eos_token_id": 2, **settings}))
    monkeypatch.setattr(greedy, "repetition_penalty", lambda folder, config: 1.0)
    with pytest.raises(ReadingDiffers, match=f"with {key} left out the two agree"):
        greedy.check(llama, llama)


def test_an_answer_that_goes_on_is_caught(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config_of(llama, eos_token_id=[1, 106])
    greedy.check(llama, llama)
    monkeypatch.setattr(greedy, "eos_ids", lambda folder, config: [106])
    with pytest.raises(ReadingDiffers, match="generate goes on with the tokens"):
        greedy.check(llama, llama)


def test_a_loop_that_chooses_otherwise_is_caught(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sampler, "__call__", lambda self, logits: int(logits.argsort()[-2]))
    with pytest.raises(ReadingDiffers, match="generate goes on with the tokens"):
        greedy.check(llama, llama)


@pytest.fixture
def agreed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transformers agrees; its process is tried above."""
    monkeypatch.setattr(Reading, "__enter__", lambda self: self)
    monkeypatch.setattr(Reading, "_answer", {"difference": 1e-6})


@pytest.mark.usefixtures("agreed")
def test_an_unknown_setting_stops(llama: Path) -> None:
    config = config_of(llama, residual_multiplier=0.22)
    with pytest.raises(UnreadSetting, match=re.escape("residual_multiplier = 0.22")):
        run(llama)
    with Reading(Subject(source=source_of(llama), task=text_generation, config=config), allow_unread=True) as checked:
        figure, passed = checked.finish()
    assert figure.passed
    assert isinstance(passed.compressed, NotMeasured)
    assert "residual_multiplier = 0.22" in passed.compressed.reason


@pytest.mark.usefixtures("agreed")
def test_null_for_an_unknown_key_passes_where_transformers_agrees(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config_of(llama, use_something=None)
    assert run(llama)[0].passed
    monkeypatch.setattr(Reading, "_answer", {"unmeasured": "transformers does not know the model_type"})
    with pytest.raises(UnreadSetting, match="use_something = null"):
        run(llama)


@pytest.mark.parametrize(
    ("missing", "unchecked"),
    [
        ("transformers", "the reading of config.json was not checked, and the tokenizer neither: transformers is not"),
        ("torch", "the reading of config.json was not checked: PyTorch is not"),
    ],
)
def test_without_transformers_the_report_says_so(
    missing: str, unchecked: str, llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    (figure,) = run(llama)
    assert figure.compressed == NotMeasured(reason=f"{unchecked} installed")


def test_other_tasks_have_no_reading(tmp_path: Path) -> None:
    with Reading(Subject(source=source_of(tmp_path), task=text_embedding, config={}), allow_unread=False) as checked:
        assert checked.finish() == ()


def test_a_process_that_breaks_down_is_told(llama: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEPACK_CACHE", str(tmp_path / "cache"))
    config = config_of(llama)
    with Reading(Subject(source=source_of(llama), task=text_generation, config=config), allow_unread=False) as checked:
        (llama / "config.json").write_text("{}")
        with pytest.raises(ModelError, match="failed"):
            checked.finish()


def test_an_epsilon_below_zero() -> None:
    with pytest.raises(ModelError, match=r"rms_norm_eps is -1\.0, which is below 0"):
        decoders.read({**LLAMA, "rms_norm_eps": -1.0})
