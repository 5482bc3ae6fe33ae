"""config.json by transformers: what changes no answer is put aside, what is refused is told by its key."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

from edgepack import pipeline
from edgepack.errors import ModelError, UnsupportedModel
from edgepack.original import open_original
from edgepack.plans import Subject
from edgepack.stages import resolve

importlib.import_module("edgepack.original.pytorch")
configs = importlib.import_module("edgepack.original.configs")
Tiny = Callable[[str], Path]
FEEDS = {"input_ids": np.array([[2, 9, 12, 30, 3], [2, 7, 3, 0, 0]]), "token_type_ids": np.zeros((2, 5), np.int64)}
FEEDS["attention_mask"] = (FEEDS["input_ids"] != 0).astype(np.int64)


def changed(folder: Path, to: Path, **settings: Any) -> Path:
    shutil.copytree(folder, to)
    stated = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps({**stated, **settings}))
    return to


def answer(folder: Path) -> np.ndarray:
    source = resolve.resolve(str(folder))
    with open_original(Subject.of(source)) as original:
        return np.asarray(original(FEEDS)["logits"])


@pytest.mark.parametrize(
    "settings",
    [
        {"return_dict": False},
        {"output_hidden_states": True, "output_attentions": True},
        {"attn_implementation": "flash_attention_2"},
        {"_attn_implementation": "flash_attention_2"},
        {"chunk_size_feed_forward": 3},
    ],
)
def test_settings_that_change_how_and_not_what_is_computed(
    tiny: Tiny, tmp_path: Path, settings: dict[str, Any]
) -> None:
    plain = tiny("text-classification")
    assert np.array_equal(answer(changed(plain, tmp_path / "model", **settings)), answer(plain))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("vocab_size", "1500"),
        ("hidden_size", 64.0),
        ("tie_word_embeddings", "yes"),
        ("pad_token_id", 99_999),
        ("id2label", {"bad": 0, "fair": 1, "good": 2}),
        ("id2label", ["bad", "fair", "good"]),
        ("num_labels", "3"),
        ("dtype", "auto"),
        ("dtype", "float8"),
        ("hidden_act", None),
    ],
)
def test_a_setting_that_transformers_refuses_is_named(tiny: Tiny, tmp_path: Path, key: str, value: Any) -> None:
    folder = changed(tiny("text-classification"), tmp_path / "model", **{key: value})
    with pytest.raises(ModelError, match=rf"^model/config\.json: {key} is .*refuses") as caught:
        resolve.resolve(str(folder))
    assert caught.value.hint


@pytest.mark.parametrize("value", [{"bad": 0, "good": 1}, ["bad", "good"], {"0": "bad", "2": "good"}])
def test_labels_of_images_that_have_no_numbers(tiny: Tiny, tmp_path: Path, value: Any) -> None:
    folder = changed(tiny("image-classification"), tmp_path / "model", id2label=value)
    with pytest.raises(ModelError, match="label"):
        pipeline.plan(pipeline.Request(model=str(folder), targets=("rpi",)))


def test_a_null_among_numbers_is_told(tiny: Tiny, tmp_path: Path) -> None:
    """Python says of it: unsupported operand type(s) for ** or pow(): 'NoneType' and 'Tensor'."""
    shutil.copytree(tiny("text-embedding"), tmp_path / "model")
    config = transformers.NomicBertConfig(vocab_size=200, hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    stated = {**config.to_dict(), "architectures": ["NomicBertModel"], "rope_parameters": None, "rope_theta": None}
    (tmp_path / "model" / "config.json").write_text(json.dumps(stated))
    with pytest.raises(ModelError, match=r"rope_theta is null, which .* refuses: .* such as null for a number"):
        resolve.resolve(str(tmp_path / "model"))


def test_an_unknown_family(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="model_type 'bertha'"):
        configs.opened(changed(tiny("text-classification"), tmp_path / "model", model_type="bertha"))


def test_spans_have_two_ends(tiny: Tiny, tmp_path: Path) -> None:
    three = {"id2label": {"0": "a", "1": "b", "2": "c"}, "label2id": {"a": 0, "b": 1, "c": 2}}
    folder = changed(tiny("question-answering"), tmp_path / "model", **three)
    with pytest.raises(ModelError, match="names 3 labels"):
        pipeline.plan(pipeline.Request(model=str(folder), targets=("rpi",)))


def test_a_decoder_that_classifies_needs_the_id_of_the_padding(tiny: Tiny, tmp_path: Path) -> None:
    shutil.copytree(tiny("text-classification"), tmp_path / "model")
    (tmp_path / "model" / "config.json").unlink()
    config = transformers.LlamaConfig(
        vocab_size=200, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48, num_labels=3
    )
    transformers.LlamaForSequenceClassification(config).save_pretrained(tmp_path / "model")
    with pytest.raises(ModelError, match="no pad_token_id") as caught:
        resolve.resolve(str(tmp_path / "model"))
    assert '"pad_token_id": 0' in caught.value.hint


def test_a_model_whose_code_breaks_down(tiny: Tiny) -> None:
    source = resolve.resolve(str(tiny("text-classification")))
    beyond = {**FEEDS, "input_ids": FEEDS["input_ids"] + 10_000}  # as an embedding that is smaller than the tokenizer
    with (
        open_original(Subject.of(source)) as original,
        pytest.raises(UnsupportedModel, match=r"BertForSequenceClassification cannot run with this config\.json"),
    ):
        original(beyond)


def test_a_table_that_lacks_a_number_is_named(tmp_path: Path) -> None:
    scaling = {"type": "su", "short_factor": [1.0] * 8, "long_factor": [1.0] * 8}
    stated = {"model_type": "phi3", "attention_dropout": 0.0, "vocab_size": 100, "rope_scaling": scaling}
    (tmp_path / "config.json").write_text(json.dumps(stated))
    with pytest.raises(ModelError, match=r"rope_scaling is .*original_max_position_embeddings"):
        configs.opened(tmp_path)
