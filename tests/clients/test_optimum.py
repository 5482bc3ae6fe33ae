"""optimum-onnx 0.1 on bundles, from the text or image to the answer: what edgepack's runtime says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.clients import environments
from tests.clients.conftest import QUESTIONS, Packed

CLOSE = 1e-5  # float32 of one graph and one runtime, averaged and normalised elsewhere
NEAR = 1e-4  # of batches of other sizes
TASKS = [
    "text-embedding", "text-classification", "token-classification", "question-answering", "fill-mask",
    "image-classification", "image-embedding", "zero-shot-image-classification",
]  # fmt: skip
RECIPES = ["fp32", "int4"]


@pytest.fixture(scope="module")
def answers(packed: Callable[..., Packed]) -> dict[str, tuple[Packed, Any]]:
    """Each bundle and what optimum answers, all asked in one process."""
    asked = {task: packed(task, "rpi") for task in TASKS}
    asked |= {recipe: packed("text-generation", "rpi", recipe) for recipe in RECIPES}
    asked["tokenizer"] = Packed("tokenizer", packed("question-answering", "web").folder, QUESTIONS)
    program = environments.HERE / "programs" / "with_optimum.py"
    jobs = [(bundle.task, str(bundle.folder), bundle.inputs) for bundle in asked.values()]
    found = environments.ask([environments.python("optimum"), program], jobs)
    return dict(zip(asked, zip(asked.values(), found, strict=True), strict=True))


@pytest.mark.parametrize("task", ["text-embedding", "image-embedding"])
def test_vectors(task: str, answers: dict[str, tuple[Packed, Any]]) -> None:
    bundle, found = answers[task]
    np.testing.assert_allclose(found, bundle.vectors, atol=CLOSE)


def test_two_encoders(answers: dict[str, tuple[Packed, Any]]) -> None:
    bundle, found = answers["zero-shot-image-classification"]
    wanted = bundle.runtime.embed_text(["a cat", "the phone of the dog"])
    np.testing.assert_allclose(found["texts"], wanted, atol=NEAR)
    np.testing.assert_allclose(found["images"], bundle.runtime.embed_image(bundle.inputs), atol=NEAR)


@pytest.mark.parametrize("task", ["text-classification", "image-classification"])
def test_labels(task: str, answers: dict[str, tuple[Packed, Any]]) -> None:
    bundle, found = answers[task]
    for given, scores in zip(bundle.inputs, found, strict=True):
        wanted = bundle.runtime.classify(given)
        assert [entry["label"] for entry in scores] == [label.name for label in wanted]
        np.testing.assert_allclose([entry["score"] for entry in scores], [x.score for x in wanted], atol=CLOSE)


def test_entities(answers: dict[str, tuple[Packed, Any]]) -> None:
    bundle, found = answers["token-classification"]
    for text, entities in zip(bundle.inputs, found, strict=True):
        wanted = bundle.runtime.tag(text)
        assert wanted
        assert [(e["entity_group"], e["start"], e["end"]) for e in entities] == [
            (e.label, e.start, e.end) for e in wanted
        ]
        np.testing.assert_allclose([e["score"] for e in entities], [e.score for e in wanted], atol=CLOSE)


def test_tokens_of_pairs_for_the_web(answers: dict[str, tuple[Packed, Any]]) -> None:
    """By the class that is written for transformers.js."""
    bundle, found = answers["tokenizer"]
    assert found["class"] == "ConvBertTokenizerFast"
    for pair, tokens in zip(bundle.inputs, found["pairs"], strict=True):
        wanted = bundle.runtime.feeds([pair])
        assert set(tokens) == set(wanted)
        assert 1 in tokens["token_type_ids"]
        for name, array in wanted.items():
            np.testing.assert_array_equal(tokens[name], array[0])


def test_spans(answers: dict[str, tuple[Packed, Any]]) -> None:
    bundle, found = answers["question-answering"]
    for question, answer in zip(bundle.inputs, found, strict=True):
        wanted = bundle.runtime.answer(*question)
        assert (answer["start"], answer["end"]) == (wanted.start, wanted.end)
        assert answer["score"] == pytest.approx(wanted.score, abs=CLOSE)


def test_filled(answers: dict[str, tuple[Packed, Any]]) -> None:
    bundle, found = answers["fill-mask"]
    for text, answer in zip(bundle.inputs, found, strict=True):
        wanted = bundle.runtime.fill(text)
        assert [(entry["token_str"], entry["sequence"]) for entry in answer] == [(w.token, w.text) for w in wanted]
        np.testing.assert_allclose([entry["score"] for entry in answer], [w.score for w in wanted], atol=CLOSE)


@pytest.mark.parametrize("recipe", RECIPES)
def test_text(recipe: str, answers: dict[str, tuple[Packed, Any]]) -> None:
    bundle, found = answers[recipe]
    assert found["alone"] == bundle.continuations
    assert found["together"] == bundle.continuations  # the shorter one padded on the left
    wanted = [bundle.runtime.negative_log_likelihoods(text, length=64, stride=32).mean() for text in bundle.inputs]
    np.testing.assert_allclose(found["losses"], wanted, rtol=NEAR)
