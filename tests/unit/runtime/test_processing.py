"""The records of pre- and post-processing: nothing is lost on the way to JSON and back, nothing unknown is let in."""

from __future__ import annotations

import json
import runpy
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.errors import BundleError
from edgepack.runtime import record_json, schema
from edgepack.runtime.processing import (
    CenterCrop,
    Classes,
    Embedding,
    Generation,
    Image,
    Normalize,
    Processing,
    Rescale,
    ResizeShortestEdge,
    ReverseChannels,
    Size,
    Text,
)

IMAGE = Image(
    input="pixel_values",
    channels=3,
    size=Size(height=32, width=24),
    alpha="white",
    steps=(
        ResizeShortestEdge(resample="bicubic", shortest_edge=40),
        CenterCrop(height=32, width=24),
        ReverseChannels(),
        Rescale(factor=1 / 255, offset=0.0),
        Normalize(mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, -0.3)),
    ),
)
TEXT = Text(
    inputs=("input_ids", "attention_mask"),
    max_length=77,
    pad_id=0,
    pad_token="[PAD]",
    pad_type_id=0,
    padding_side="right",
    truncation_side="left",
    prompts={"query": "query: "},
)
BOTH = Processing(text=TEXT, image=IMAGE, answer=Embedding(output="embeds", width=16, similarity="cosine"))
SCHEMA = json.loads((files("edgepack") / "schemas" / "bundle-2.json").read_text("utf-8"))
_VALUES = {
    str: st.text(max_size=5),
    int: st.integers(-5, 2**40),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    Any: st.recursive(st.none() | st.booleans() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=2)),
}


def drawn(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type, whatever the bounds that the schema sets."""
    kind = record_json.plain(kind)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, UnionType):
        return st.one_of(*(st.none() if one is NoneType else drawn(one) for one in inner))
    if origin is typing.Literal:
        return st.sampled_from(inner)
    if origin is tuple:
        return st.lists(drawn(inner[0]), max_size=3).map(tuple)
    if origin is Mapping:
        return st.dictionaries(st.text(max_size=3), drawn(inner[1]), max_size=2)
    if is_dataclass(kind):
        return st.builds(kind, **{name: drawn(hint) for name, hint in record_json.hints(kind).items()})  # type: ignore[arg-type]
    return _VALUES[kind]


@settings(max_examples=200, deadline=None)
@given(drawn(Processing))
def test_nothing_is_lost(record: Processing) -> None:
    written = json.loads(json.dumps(record.to_json()))
    assert Processing.from_json(written) == record
    assert Processing.from_json(written).to_json() == written


def test_its_form() -> None:
    written = BOTH.to_json()
    assert list(written) == ["text", "image", "answer"]
    assert written["answer"] == {"kind": "embedding", "output": "embeds", "width": 16, "similarity": "cosine"}
    assert written["image"]["steps"][2] == {"op": "reverse_channels"}
    assert "stride" not in written["text"]


WRONG: dict[str, tuple[tuple[str | int, ...], Any, str]] = {
    "a kind of input": (("video",), {}, "processing has 'video', which this edgepack does not know"),
    "a kind of answer": (("answer", "kind"), "boxes", "processing.answer.kind is 'boxes'"),
    "a kind of step": (("image", "steps", 1, "op"), "rotate", "processing.image.steps[1].op is 'rotate'"),
    "no kind of step": (("image", "steps", 1, "op"), 3, "processing.image.steps[1].op is 3"),
    "a key": (("text", "surprise"), 1, "processing.text has 'surprise', which this edgepack does not know"),
    "a key of a step": (("image", "steps", 2, "factor"), 1, "processing.image.steps[2] has 'factor'"),
    "a choice": (("text", "padding_side"), "top", "processing.text.padding_side is 'top'"),
    "another type": (("text", "max_length"), "77", "processing.text.max_length is '77', not a whole number"),
    "a truth value for a number": (("text", "pad_id"), True, "processing.text.pad_id is True, not a whole number"),
    "a fraction for a whole number": (("text", "pad_id"), 0.5, "processing.text.pad_id is 0.5, not a whole number"),
    "a truth value for 1": (("image", "channels"), True, "processing.image.channels is True"),
    "a number beyond floats": (("image", "steps", 3, "factor"), 10**400, "factor is too large a number"),
    "no list": (("image", "steps"), {}, "processing.image.steps is an object, not a list"),
    "no object": (("image",), [], "processing.image is a list, not an object"),
    "nothing": (("text",), None, "processing.text is null, not an object"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_unknown_is_named(name: str) -> None:
    place, wrong, said = WRONG[name]
    value = json.loads(json.dumps(BOTH.to_json()))
    owner = value
    for key in place[:-1]:
        owner = owner[key]
    owner[place[-1]] = wrong
    with pytest.raises(BundleError) as error:
        Processing.from_json(value)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.hint


def test_what_is_missing_is_named() -> None:
    value = BOTH.to_json()
    del value["image"]["steps"][0]["resample"]
    with pytest.raises(BundleError, match=r"processing.image.steps\[0\] lacks 'resample'"):
        Processing.from_json(value)


def test_a_hint_names_the_nearest() -> None:
    with pytest.raises(BundleError) as error:
        Processing.from_json({"imagee": {}})
    assert "did you mean 'image'?" in error.value.hint


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["text", "image", "answer", "kind", "op", "steps", "inputs", "size", "x"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(_JSON)
def test_anything_else_is_a_bundle_error(value: Any) -> None:
    if _is_processing(value):
        assert Processing.from_json(value).to_json().keys() <= value.keys()
        return
    with pytest.raises(BundleError, match=r"^processing"):
        Processing.from_json(value)


def _is_processing(value: Any) -> bool:
    """Whether the published schema takes it, which is no laxer than the records."""
    try:
        schema.check(value, {**SCHEMA["$defs"]["Processing"], "$defs": SCHEMA["$defs"]})
    except schema.Mismatch:
        return False
    return True


def test_the_published_schema_is_that_of_the_records() -> None:
    made = runpy.run_path(str(Path(__file__).parents[3] / "docs" / "make_bundle_schema.py"))
    assert (files("edgepack") / "schemas" / "bundle-2.json").read_text("utf-8") == made["text"]()


def test_a_section_is_found_by_its_kind() -> None:
    assert BOTH.section(Text) is TEXT
    assert BOTH.section(Image) is IMAGE
    assert BOTH.section(Embedding).width == 16
    with pytest.raises(BundleError, match="holds no Classes, which the task needs"):
        BOTH.section(Classes)


def test_the_longest_text() -> None:
    made = Generation(max_length=12, layers=1, kv_heads=1, head_dim=8, vocabulary=9, eos_ids=(), repetition_penalty=1.0)
    assert [each.max_length for each in (BOTH, Processing(generation=made), Processing(image=IMAGE))] == [77, 12, None]


def test_every_record_is_frozen_and_by_keyword() -> None:
    for name, hint in record_json.hints(Processing).items():
        for kind in typing.get_args(record_json.plain(hint)):
            if is_dataclass(kind):
                assert kind.__dataclass_params__.frozen, name  # type: ignore[union-attr]
                assert all(each.kw_only for each in fields(kind)), name
