"""Random configs of every family: what is read is what transformers computes, or the oracle tells, or it is refused.

EDGEPACK_EXAMPLES says how many configs a family gets (CI: a few, within 20 seconds in all).
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from edgepack import targets
from edgepack.decoders import model_types, read
from edgepack.decoders.checkpoint import Checkpoint
from edgepack.errors import ModelError, UnsupportedModel
from edgepack.formats.onnx.builder import Described
from edgepack.original.decoder import Reference
from edgepack.original.oracle import check, compare, models
from edgepack.runtime.engines import open_session

Config = dict[str, Any]
_EXAMPLES = int(os.environ.get("EDGEPACK_EXAMPLES", "6"))
_CLOSE = 1e-4  # float32 sums in another order, relative to the largest logit
_LENGTH = 40
FLOAT = targets.recipe(targets.load("rpi"), "fp32", "text-generation")
ACTIVATIONS = ("silu", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "gelu_fast", "swish", "relu2")


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A value, or the key is absent (``...``)."""
    return st.one_of(st.just(...), strategy)


def table(**keys: Any) -> st.SearchStrategy[Config]:
    return st.fixed_dictionaries(keys).map(lambda made: {key: value for key, value in made.items() if value is not ...})


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


@st.composite
def llama_like(draw: st.DrawFn, family: str) -> Config:
    """Sizes that all of LLaMA's relatives have, and their own settings."""
    kv_heads, group = draw(st.sampled_from([1, 2])), draw(st.sampled_from([1, 2, 3]))
    heads, head = kv_heads * group, draw(st.sampled_from([16, 32]))
    own = family in ("llama", "mistral", "qwen3", "gemma", "gemma2", "gemma3_text") and draw(st.booleans())
    config: Config = {
        "model_type": family, "vocab_size": 96, "hidden_size": heads * (8 if own else head), "intermediate_size": 48,
        "num_hidden_layers": draw(st.integers(1, 4)), "num_attention_heads": heads, "num_key_value_heads": kv_heads,
        "max_position_embeddings": draw(st.sampled_from([48, 64, 256])), "pad_token_id": None,
        "bos_token_id": 1, "eos_token_id": 2,
        **({"head_dim": head} if own else {}),
        **draw(table(tie_word_embeddings=maybe(st.booleans()), rms_norm_eps=maybe(st.sampled_from([1e-6, 1e-3])))),
    }  # fmt: skip
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


CONFIGS = {name: llama_like(name) for name in _OWN} | {"gpt2": gpt2(), "gpt_neox": gpt_neox(), "gemma3": gemma3()}


def test_every_family_is_tried() -> None:
    assert set(CONFIGS) == set(model_types())


@pytest.mark.parametrize("family", CONFIGS)
def test_random_configs(family: str) -> None:
    @settings(
        max_examples=_EXAMPLES, deadline=None, derandomize="EDGEPACK_EXAMPLES" not in os.environ,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(CONFIGS[family])
    def holds(config: Config) -> None:
        note(json.dumps(config))
        one_config(config)

    holds()


def one_config(config: Config) -> None:
    """Refused by edgepack or by transformers; else the oracle passes it, and the whole model is transformers' own."""
    try:
        reading = read(config)
    except ModelError:
        return
    try:
        difference = check.reading(config)
    except UnsupportedModel:  # transformers itself cannot make it
        return
    assert difference < _CLOSE
    model = models.random(config)
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        models.save(model, folder)
        stated = json.loads((folder / "config.json").read_text())
        for decoder in (reading.decoder, read(stated).decoder):  # as it was written, and as transformers 5 saves it
            assert compare.logits(decoder, model, folder) < _CLOSE
        if not reading.unread:
            assert not read(stated).unread
        same_graph(Reference(Checkpoint(folder, reading.decoder)), folder)


def same_graph(reference: Reference, folder: Path) -> None:
    """The ONNX graph gives the logits of the description, unless its operators cannot."""
    d = reference.decoder
    context = min(d.context, _LENGTH)
    described = Described(reference=reference, model=folder, layout="onnx", context=context, opset=17, ir_version=9)
    try:
        graph = described.compress(folder / "model.onnx", FLOAT, ())
    except UnsupportedModel:
        return
    ids = np.random.default_rng(1).integers(2, d.vocabulary, (1, context))
    past = np.zeros((1, d.kv_heads, 0, d.cached_head), np.float32)
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "logits_from": np.array([0])}
    feeds |= {f"past_key_values.{i}.{part}": past for i in range(d.layers) for part in ("key", "value")}
    if any(spec.name == "position_ids" for spec in graph.inputs):
        feeds["position_ids"] = np.arange(context)[None]
    made, true = open_session(graph.path, "onnx", 1)(feeds, ["logits"])["logits"], reference.logits(ids)
    assert np.abs(made - true).max() < _CLOSE * np.abs(true).max()
