"""The device's checker says of a manifest what the package jsonschema says by the published schemas."""

from __future__ import annotations

import copy
import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.errors import BundleError
from edgepack.runtime import manifest as manifests
from edgepack.runtime import schema, schema_1
from edgepack.runtime.processing import Embedding, Image, Processing

SCHEMAS = {
    name: json.loads((files("edgepack") / "schemas" / f"{name}.json").read_text())
    for name in ("bundle-1", "bundle-2", "measurements-1", "measurements-2", "measurements-3")
}
_HASH = "0" * 64
_TEXT = {
    "max_length": 128, "inputs": ["input_ids", "attention_mask"], "pad_id": 0, "pad_token": "[PAD]", "pad_type_id": 0,
    "padding_side": "right", "truncation_side": "left", "prompts": {}, "include_prompt": True,
}  # fmt: skip
_IMAGE = {
    "input": "pixel_values", "channels": 3, "size": {"height": 32, "width": 32}, "alpha": "white",
    "steps": [
        {"op": "resize_shortest_edge", "resample": "bilinear", "shortest_edge": 40},
        {"op": "center_crop", "height": 32, "width": 32},
        {"op": "rescale", "factor": 0.00392, "offset": 0.0},
        {"op": "normalize", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, -0.5]},
    ],
    "mix": [],
}  # fmt: skip
_GENERATION = {
    "max_length": 256, "layers": 3, "kv_heads": 2, "head_dim": 16, "vocabulary": 320, "eos_ids": [2],
    "repetition_penalty": 1.1,
}  # fmt: skip
PROCESSING: dict[str, dict[str, Any]] = {
    "text-embedding": {
        "text": {**_TEXT, "prompts": {"query": "query: "}, "default_prompt": "query"},
        "answer": {"kind": "embedding", "output": "sentence_embedding", "width": 384, "similarity": "dot"},
    },
    "text-classification": {
        "text": _TEXT, "answer": {"kind": "classes", "labels": ["a", "b"], "problem_type": "regression"},
    },
    "token-classification": {"text": _TEXT, "answer": {"kind": "entities", "labels": ["O", "B-X"]}},
    "question-answering": {"text": {**_TEXT, "stride": 64}, "answer": {"kind": "span", "max_answer_length": 30}},
    "fill-mask": {"text": _TEXT, "answer": {"kind": "mask", "mask_token": "[MASK]", "mask_id": 0}},
    "image-classification": {
        "image": _IMAGE,
        "answer": {"kind": "classes", "labels": ["cat"], "problem_type": "single_label_classification"},
    },
    "image-embedding": {"image": _IMAGE, "answer": {"kind": "embedding", "output": "image_embeds", "width": 12}},
    "zero-shot-image-classification": {
        "text": _TEXT, "image": _IMAGE,
        "answer": {
            "kind": "match", "text_output": "text_embeds", "image_output": "image_embeds", "width": 24, "scale": 14.3,
            "template": "This is a photo of {}.",
        },
    },
    "text-generation": {"generation": _GENERATION},
}  # fmt: skip
_TEXT_1 = {name: _TEXT[name] for name in _TEXT if name not in ("prompts", "include_prompt")}
_IMAGE_1 = {
    "inputs": ["pixel_values"], "channels": 3, "size": {"height": 32, "width": 32}, "alpha": "white",
    "steps": [{"op": "resize", "resample": "bilinear", "shortest_edge": 40}, *_IMAGE["steps"][1:]],  # type: ignore[index]
}  # fmt: skip
PROCESSING_1: dict[str, dict[str, Any]] = {
    "text-embedding": {
        **_TEXT_1, "output": "sentence_embedding", "width": 384, "similarity": "dot", "include_prompt": True,
        "prompts": {"query": "query: "}, "default_prompt": "query", "truncate": None,
        "layers": [{"kind": "pooling", "modes": ["mean"], "include_prompt": True}, {"kind": "normalize"}],
    },
    "text-classification": {**_TEXT_1, "labels": ["a", "b"], "problem": "regression"},
    "token-classification": {**_TEXT_1, "labels": ["O", "B-X"]},
    "question-answering": {**_TEXT_1, "max_answer": 30, "stride": 64},
    "fill-mask": {**_TEXT_1, "mask_token": "[MASK]", "mask_id": 0},
    "image-classification": {**_IMAGE_1, "labels": ["cat"], "problem": ""},
    "image-embedding": {**_IMAGE_1, "output": "image_embeds", "width": 12},
    "text-generation": {
        "max_length": 256, "layers": 3, "kv_heads": 2, "head": 16, "vocabulary": 320, "eos_ids": [2],
        "positions": False, "repetition_penalty": 1.1,
    },
}  # fmt: skip
_OLD_IMAGE = {
    "inputs": ["pixel_values"], "channels": 3, "scale": 0.1, "mean": [0.0] * 3, "std": [1.0] * 3, "resize": None,
}  # fmt: skip


def manifest(task: str) -> dict[str, Any]:
    spec = {"name": "x", "dtype": "int64", "shape": [1, "tokens"]}
    return {
        "schema": 2, "edgepack": "0.1.0", "name": "m-rpi", "task": task,
        "source": {
            "model": "org/m", "revision": None, "architecture": "A", "model_type": "a", "licence": "mit",
            "parameters": 10, "sha256": _HASH,
        },
        "target": {
            "name": "rpi", "profile": "pi5", "isa": "arm64", "runtime": "onnxruntime", "runtime_version": ">=1.20",
            "threads": 4,
        },
        "recipe": {
            "name": "int8", "scheme": "blocks", "weight_bits": 8, "activation_bits": 8, "block_size": 32,
            "embedding_bits": 8, "smooth": False, "finer": [], "min_coverage": 0.9,
        },
        "models": {"model": {
            "file": "model.onnx", "files": ["model.onnx"], "format": "onnx", "opset": 21, "needs": "onnxruntime 1.20",
            "inputs": [spec],
            "outputs": [spec], "components": [{"name": "mlp", "parameters": 10, "bytes": 10}],
            "coverage": {"compressed": 10, "total": 10, "skipped": [{"tensor": "w", "reason": "small"}]},
            "operators": {"MatMul": 1},
            "golden": {"file": "golden.safetensors", "output": "x", "least_cosine": 0.9},
        }},
        "processing": copy.deepcopy(PROCESSING[task]),
        "reproduce": {"tools": {"onnx": "1.0"}, "calibration_sha256": _HASH, "seed": 0},
        "files": {"model.onnx": {"sha256": _HASH, "bytes": 3}, "golden.safetensors": {"sha256": _HASH, "bytes": 3}},
    }  # fmt: skip


def manifest_1(task: str) -> dict[str, Any]:
    """A manifest of schema 1."""
    table = manifest(task)
    model = table.pop("models")["model"]
    del model["files"]
    processing = copy.deepcopy(PROCESSING_1[task])
    return {**table, "schema": 1, "golden": model.pop("golden"), "model": model, "processing": processing}


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(found for key, one in inner for found in _places(one, (*place, key)))]


_VALUES = [
    None, True, False, 0, -1, 1, 2, 1.5, -0.5, 10**400, "", "x", "../x", "/x", "a\0", "\x1b[31m", [], [[]], {},
    {"a": 1}, ["x", 1], {"shortest_edge": 0}, "resize", "center_crop", "text-generation",
    "mask", "resize_within", {"kind": "span", "max_answer_length": 3},
]  # fmt: skip


def mutated(draw: st.DrawFn) -> Any:
    value = manifest(draw(st.sampled_from(sorted(PROCESSING))))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(_places(value)))
        if not place:
            continue
        owner = value
        for key in place[:-1]:
            owner = owner[key]
        change = draw(st.sampled_from(["put", "drop", "add"]))
        if change == "put":
            owner[place[-1]] = copy.deepcopy(draw(st.sampled_from(_VALUES)))
        elif change == "drop":
            del owner[place[-1]]
        elif isinstance(owner, dict):
            owner[draw(st.sampled_from(["surprise", "__class__", "../x", "a\0"]))] = 1
    return value


@pytest.mark.parametrize("task", PROCESSING)
def test_what_builds_write_is_valid(task: str) -> None:
    schema.check(manifest(task), SCHEMAS["bundle-2"])
    jsonschema.validate(manifest(task), SCHEMAS["bundle-2"])


@pytest.mark.parametrize("task", PROCESSING_1)
def test_what_earlier_builds_wrote_is_valid(task: str) -> None:
    schema.check(manifest_1(task), SCHEMAS["bundle-1"])
    jsonschema.validate(manifest_1(task), SCHEMAS["bundle-1"])
    assert _written(schema_1.upgraded(manifest_1(task))) == manifest(task)


def _written(table: dict[str, Any]) -> dict[str, Any]:
    """A manifest whose ``processing`` states what it left to the records' default values."""
    return {**table, "processing": Processing.from_json(table["processing"]).to_json()}


_USUAL_SIZE = {"height": 224, "width": 224}
EARLIER: dict[str, tuple[dict[str, Any], dict[str, int], list[str]]] = {
    "no size": ({"resize": None}, _USUAL_SIZE, []),
    "a shorter side": (
        {"resize": {"shortest_edge": 40}, "resample": "bicubic"}, {"height": 40, "width": 40}, ["resize_shortest_edge"],
    ),
    "a crop": (
        {"resize": {"height": 9, "width": 8}, "resample": "box", "crop": {"height": 5, "width": 4}},
        {"height": 5, "width": 4}, ["resize", "center_crop"],
    ),
    "a largest size": (
        {"steps": [
            {"op": "center_crop", "height_ratio": 0.5, "width_ratio": 1},
            {"op": "resize", "resample": "box", "max_height": 9, "max_width": 9}, {"op": "reverse_channels"},
        ], "size": {"height": 9, "width": 9}, "alpha": "white"},
        {"height": 9, "width": 9}, ["center_crop_ratio", "resize_within", "reverse_channels"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EARLIER)
def test_images_of_earlier_bundles(name: str) -> None:
    given, size, ops = EARLIER[name]
    table = {**manifest_1("image-embedding"), "processing": {**_OLD_IMAGE, **given, "output": "x", "width": 0}}
    schema.check(table, SCHEMAS["bundle-1"])
    made = schema_1.upgraded(table)
    schema.check(made, SCHEMAS["bundle-2"])
    read = Processing.from_json(made["processing"])
    image = read.section(Image)
    values = [] if "steps" in given else ["rescale", "normalize"]
    assert [step.TAG[1] for step in image.steps] == ops + values
    assert image.alpha == given.get("alpha", "drop")
    assert {"height": image.size.height, "width": image.size.width} == size
    assert read.section(Embedding) == Embedding(output="x")


@pytest.mark.parametrize("version", [1, 2])
def test_a_step_that_nobody_knows_is_named(version: int) -> None:
    """In either schema, with what an edgepack of that schema knows."""
    table = manifest("image-embedding") if version == 2 else manifest_1("image-embedding")
    image = table["processing"]["image"] if version == 2 else table["processing"]
    image["steps"][1] = {"op": "rotate", "degrees": 90}
    with pytest.raises(BundleError) as error:
        manifests.checked(table, "edgepack.json")
    said = "edgepack.json: processing.image.steps[1].op is 'rotate', which this edgepack does not know"
    assert str(error.value) == said
    assert "pip install -U edgepack" in error.value.hint


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schemas_are_valid(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


@settings(max_examples=1000, deadline=None)
@given(st.composite(mutated)())
def test_both_checkers_say_the_same(value: Any) -> None:
    assert _is_valid(value) == jsonschema.Draft202012Validator(SCHEMAS["bundle-2"]).is_valid(value)


def _is_valid(value: Any) -> bool:
    try:
        schema.check(value, SCHEMAS["bundle-2"])
    except schema.Mismatch:
        return False
    return True


_GOLDEN = ("models", "model", "golden")
WRONG: dict[str, tuple[tuple[str, ...], Any, str]] = {
    "another type": (("target", "threads"), "4", "target.threads is '4', not integer"),
    "a truth value for a number": (("target", "threads"), True, "target.threads is true"),
    "a golden vector that always passes": (
        (*_GOLDEN, "least_cosine"),
        -1,
        "golden.least_cosine is -1",
    ),
    "another that always passes": ((*_GOLDEN, "least_cosine"), 0, "golden.least_cosine is 0"),
    "a resize to ten million": (("processing", "image", "size"), {"height": 10**7, "width": 1}, "image.size.height"),
    "a path that climbs": (("models", "model", "file"), "a/../../x", "models.model.file"),
    "no submodels": (("models",), {}, "models is empty"),
    "a submodel named as no file is": (("models", "../x"), {}, "models has an invalid key: '../x'"),
    "a submodel of no files": (("models", "model", "files"), [], "models.model.files is empty"),
    "a key that nobody knows": (("surprise",), 1, "'surprise'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_place_and_the_mistake_are_named(name: str) -> None:
    place, wrong, said = WRONG[name]
    value = manifest("image-embedding")
    owner = value
    for key in place[:-1]:
        owner = owner[key]
    owner[place[-1]] = wrong
    with pytest.raises(schema.Mismatch) as error:
        schema.check(value, SCHEMAS["bundle-2"])
    assert said in str(error.value)
