"""config.json is read strictly, every key is accounted for, and what it leaves out is what transformers takes."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from edgepack import plugins
from edgepack.decoders import describe, model_types, read
from edgepack.decoders.settings import _KNOWN, _NEUTRAL, Settings
from edgepack.errors import ModelError, UnsupportedModel

SMALL: dict[str, Any] = {
    "vocab_size": 160, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64,
}  # fmt: skip


def config(model_type: str = "llama", **changes: Any) -> dict[str, Any]:
    return {"model_type": model_type, "architectures": ["LlamaForCausalLM"], **SMALL, **changes}


def test_one_family_after_another_is_read() -> None:
    """A package and a function of one name would be the package, once it is imported."""
    for _ in range(2):
        with pytest.raises(UnsupportedModel, match="no language model family 'of-mars'"):
            read({"model_type": "of-mars"})
        plugins.load("decoders.families", "llama")


@pytest.mark.parametrize("name", model_types())
def test_defaults_are_those_of_transformers(name: str) -> None:
    family = plugins.load("decoders.families", name.replace("_", "-"))
    fields = {field.name: field.default for field in dataclasses.fields(CONFIG_MAPPING[name])}
    for key, value in family.DEFAULTS.items():
        assert fields[key] == value, key


@pytest.mark.parametrize("name", model_types())
def test_every_key_that_transformers_saves_is_known(name: str) -> None:
    family = plugins.load("decoders.families", name.replace("_", "-"))
    rotary = {"rope_parameters", "text_config"}
    known = {
        *family.DEFAULTS,
        *getattr(family, "IRRELEVANT", ()),
        *getattr(family, "NEUTRAL", ()),
        *_KNOWN,
        *_NEUTRAL,
        *rotary,
    }
    assert {field.name for field in dataclasses.fields(CONFIG_MAPPING[name])} <= known


def _fields(name: str) -> set[str]:
    return {field.name for field in dataclasses.fields(CONFIG_MAPPING[name])}


def test_a_config_of_defaults_is_described() -> None:
    for name in model_types():
        within: dict[str, Any] = {"text_config": {}} if "text_config" in _fields(name) else {}
        if name == "lfm2_moe":  # whose class breaks down without
            within = {"layer_types": ["conv"] * 32}
        made = describe({"model_type": name, **within})
        assert made.layers > (1 if name == "bloom" else 10), name  # whose class is that of a test


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hidden_size": None}, "hidden_size is null"),
        ({"hidden_size": "64"}, 'hidden_size is "64"'),
        ({"num_hidden_layers": True}, "num_hidden_layers is true"),
        ({"rms_norm_eps": "small"}, "rms_norm_eps"),
        ({"tie_word_embeddings": None}, "tie_word_embeddings is null"),
        ({"attention_bias": 1}, "attention_bias is 1"),
        ({"num_key_value_heads": 0}, "num_key_value_heads is 0"),
        ({"num_key_value_heads": 3}, "4 heads cannot share 3"),
        ({"head_dim": 0}, "head_dim is 0"),
        ({"head_dim": 10**9}, "head_dim is 1,000,000,000; at most"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1,000,000,000; at most"),
        ({"rope_theta": 0}, "rope_theta is 0"),
        ({"rope_theta": None}, "rope_theta is null"),
        ({"rope_parameters": {"rope_theta": None}}, "rope_theta is null"),
        ({"rope_parameters": [1]}, "rope_parameters is not an object"),
        ({"rope_scaling": {"rope_type": "linear"}}, "rope_scaling.factor"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 2.0}, "rope_parameters": {"rope_theta": 1e4}}, "both"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 2.0}}, "low_freq_factor"),
        ({"rope_parameters": {"rope_type": "longrope", "short_factor": "a"}}, "short_factor"),
    ],
)
def test_numbers_are_read_strictly(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=re.escape(said)):
        describe(config(**changes))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (config(hidden_act="mish"), "'mish'"),
        (config("mpt", attn_config={"qk_ln": True}), "qk_ln"),
        (config("bloom", apply_residual_connection_post_layernorm=True), "apply_residual_connection_post_layernorm"),
        (config(rope_scaling={"type": "mrope", "mrope_section": [2, 3, 3]}), "'mrope'"),
        (config(rope_parameters={"rope_type": "axial"}), "'axial'"),
        (config(rope_scaling={"type": "linear", "factor": 2.0}, partial_rotary_factor=0.5), "partial_rotary_factor"),
        (config("phi3", partial_rotary_factor=0.45), "must be even"),
        (config("phi3", rope_scaling={"type": "linear", "factor": 2.0}), "only longrope"),
        (config("gemma", use_bidirectional_attention=True), "use_bidirectional_attention"),
        (config("gemma3_text", use_bidirectional_attention=True), "use_bidirectional_attention"),
        (config("qwen2", is_causal=False), "is_causal"),
        (config("gpt2", is_causal=None), "is_causal"),
        (config("qwen2", layer_types=["full_attention", "linear_attention", "full_attention"]), "linear_attention"),
    ],
)
def test_what_is_not_supported_is_named(made: dict[str, Any], said: str) -> None:
    with pytest.raises(UnsupportedModel, match=re.escape(said)):
        describe(made)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (config("mistral", sliding_window=0), "sliding_window is 0"),
        (config("gemma2", attn_logit_softcapping=0.0), "attn_logit_softcapping is 0.0"),
        (config("gemma2", query_pre_attn_scalar=0), "query_pre_attn_scalar is 0"),
        (config("qwen3", layer_types=["sliding_attention"] * 3, sliding_window=8), "no sliding_window applies"),
        (config("qwen3", layer_types=["full_attention"] * 2), "does not have 3 entries"),
    ],
)
def test_zero_is_not_absent(made: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=re.escape(said)):
        describe(made)


def test_all_layers_have_a_window_from_layer_0_on() -> None:
    made = describe(config("qwen2", use_sliding_window=True, sliding_window=12, max_window_layers=0))
    assert made.windows == (12, 12, 12)


@pytest.mark.parametrize(
    ("made", "unread"),
    [
        (config(residual_multiplier=0.22), {"residual_multiplier": 0.22}),
        (config(sliding_window=8), {"sliding_window": 8}),
        (config(rope_scaling={"rope_type": "default", "mrope_section": [1]}), {"rope_scaling.mrope_section": [1]}),
        (
            config(rope_parameters={"rope_type": "linear", "factor": 2.0, "beta_fast": 1}),
            {"rope_parameters.beta_fast": 1},
        ),
        (config("gpt_neox", rope_theta=500.0), {"rope_theta": 500.0}),
        (config("gemma3_text", rope_parameters={"factor": 8.0}), {"rope_parameters.factor": 8.0}),
        (
            {"model_type": "gemma3", "text_config": {**SMALL, "laurel_rank": 3}, "vision_config": {"hidden_act": "x"}},
            {"text_config.laurel_rank": 3},
        ),
        (config(add_cross_attention=True), {"add_cross_attention": True}),
        (config(add_cross_attention=False, pruned_heads={}, transformers_version="5.0.0", max_length=20), {}),
        (config("mistral", layer_types=["full_attention"] * 3), {"layer_types": ["full_attention"] * 3}),
    ],
)
def test_keys_that_nobody_read_are_told(made: dict[str, Any], unread: dict[str, Any]) -> None:
    assert read(made).unread == unread


def test_an_alias_names_the_same_key() -> None:
    plain = {"model_type": "gpt2", "n_embd": 64, "n_head": 4, "n_layer": 2, "n_positions": 32}
    assert describe(
        {"model_type": "gpt2", "hidden_size": 64, "n_head": 4, "n_layer": 2, "n_positions": 32}
    ) == describe(plain)


def test_looking_at_a_key_is_not_reading_it() -> None:
    settings = Settings({"a": 1, "b": {"c": 2, "d": 3}})
    assert "a" in settings
    assert dict.fromkeys(settings) == {"a": None, "b": None}
    assert settings["b"]["c"] == 2
    assert settings.unread() == {"a": 1, "b.d": 3}
