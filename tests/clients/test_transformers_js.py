"""transformers.js on the bundles for the web, in Node and in Chromium: edgepack's answers, from text or image on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.clients import environments
from tests.clients.conftest import TOKENS, Ask, Packed

SAME = 0.999
# of a probability; WebAssembly's int8 kernels round some activations to the other neighbour
CLOSE = {"node-4.3.2": 1e-4, "node-3.8.1": 1e-4, "chromium-4.3.2": 0.01}
RECIPES = ["fp32", "int4"]
GREEDY = {"max_new_tokens": TOKENS, "do_sample": False, "return_full_text": False}


@pytest.mark.parametrize("client", CLOSE)
def test_vectors(client: str, asking: Callable[[str], Ask], packed: Callable[..., Packed]) -> None:
    bundle = packed("text-embedding", "web")
    found = asking(client)(bundle, call={"pooling": "mean", "normalize": True})["answers"]
    vectors = np.array([entry["data"] for entry in found])
    assert (vectors * bundle.vectors).sum(1).min() >= SAME


@pytest.mark.parametrize("client", CLOSE)
def test_vectors_of_two_encoders(client: str, asking: Callable[[str], Ask], packed: Callable[..., Packed]) -> None:
    bundle, texts = packed("zero-shot-image-classification", "web"), ["a cat", "the phone of the dog"]
    found = asking(client)(bundle, texts=texts)
    made = [entry["data"] for entry in (*found["texts"], *found["images"])]
    wanted = [*map(bundle.runtime.embed_text, texts), *map(bundle.runtime.embed_image, bundle.inputs)]
    cosines = [cosine(*pair) for pair in zip(made, wanted, strict=True)]
    assert min(cosines) >= SAME


def cosine(a: Any, b: Any) -> float:
    return float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("client", CLOSE)
@pytest.mark.parametrize("task", ["text-classification", "image-classification"])
def test_labels(task: str, client: str, asking: Callable[[str], Ask], packed: Callable[..., Packed]) -> None:
    bundle = packed(task, "web")
    for given, scores in zip(bundle.inputs, asking(client)(bundle, call={"top_k": 6})["answers"], strict=True):
        wanted = {label.name: label.score for label in bundle.runtime.classify(given)}
        assert {entry["label"]: entry["score"] for entry in scores} == pytest.approx(wanted, abs=CLOSE[client])


@pytest.mark.parametrize("client", CLOSE)
def test_labels_of_sounds(client: str, asking: Callable[[str], Ask], packed: Callable[..., Packed]) -> None:
    bundle = packed("audio-classification", "web")
    for given, scores in zip(bundle.inputs, asking(client)(bundle, call={"top_k": 3})["answers"], strict=True):
        wanted = {label.name: label.score for label in bundle.runtime.classify(np.array(given, np.float32))}
        assert {entry["label"]: entry["score"] for entry in scores} == pytest.approx(wanted, abs=CLOSE[client])


@pytest.mark.parametrize("client", CLOSE)
def test_pixels(client: str, asking: Callable[[str], Ask], packed: Callable[..., Packed]) -> None:
    bundle = packed("image-classification", "web")
    for given, pixels in zip(bundle.inputs, asking(client)(bundle, pixels=True)["pixels"], strict=True):
        wanted = bundle.runtime.feeds([given])["pixel_values"]
        np.testing.assert_allclose(np.reshape(pixels["data"], pixels["dims"]), wanted, atol=1e-6)


@pytest.mark.parametrize("client", CLOSE)
def test_entities(client: str, asking: Callable[[str], Ask], packed: Callable[..., Packed]) -> None:
    bundle = packed("token-classification", "web")
    answers = asking(client)(bundle, call={"ignore_labels": []})["answers"]
    for text, tokens in zip(bundle.inputs, answers, strict=True):
        wanted = bundle.runtime.tag(text)
        found = spans(tokens)
        assert wanted
        assert [span[:2] for span in found] == [(entity.label, entity.text) for entity in wanted]
        scores = [entity.score for entity in wanted]
        np.testing.assert_allclose([span[2] for span in found], scores, atol=CLOSE[client])


@pytest.mark.parametrize("client", CLOSE)
def test_filled(client: str, asking: Callable[[str], Ask], packed: Callable[..., Packed]) -> None:
    bundle = packed("fill-mask", "web")
    found = asking(client)(bundle, call={"top_k": 160})["answers"]  # more than there are
    for text, answer in zip(bundle.inputs, found, strict=True):
        scores = {entry["token_str"]: entry["score"] for entry in answer}
        for wanted in bundle.runtime.fill(text):
            assert scores[wanted.token] == pytest.approx(wanted.score, abs=CLOSE[client])


@pytest.mark.parametrize("client", CLOSE)
def test_spans(client: str, asking: Callable[[str], Ask], packed: Callable[..., Packed]) -> None:
    """Of a question and a text, whose tokens differ by their types alone."""
    bundle = packed("question-answering", "web")
    found = asking(client)(bundle, call={"top_k": 1})["answers"]
    for question, answer in zip(bundle.inputs, found, strict=True):
        wanted = bundle.runtime.answer(*question)
        assert answer["answer"] == wanted.text
        assert answer["score"] == pytest.approx(wanted.score, abs=CLOSE[client])


def spans(tokens: list[dict[str, Any]]) -> list[tuple[str, str, float]]:
    """Neighbouring words of one label: the label, the words and their mean score."""
    groups: list[list[dict[str, Any]]] = []
    for token in tokens:
        begins = token["entity"].startswith("B-") or not groups or groups[-1][-1]["entity"][2:] != token["entity"][2:]
        groups = [*groups, [token]] if begins else [*groups[:-1], [*groups[-1], token]]
    return [
        (group[0]["entity"][2:], " ".join(t["word"] for t in group), float(np.mean([t["score"] for t in group])))
        for group in groups
        if group[0]["entity"] != "O"
    ]


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("client", ["node-4.3.2", "chromium-4.3.2"])
def test_text(client: str, recipe: str, asking: Callable[[str], Ask], packed: Callable[..., Packed]) -> None:
    bundle = packed("text-generation", "web", recipe)
    alone = asking(client)(bundle, call=GREEDY)["answers"]
    together = asking(client)(bundle, call=GREEDY, batch=True)["answers"][0]  # the shorter one is padded on the left
    for answers in (alone, together):
        assert [made[0]["generated_text"] for made in answers] == bundle.continuations


@pytest.mark.parametrize("recipe", RECIPES)
def test_version_3_refuses_language_models(
    recipe: str, asking: Callable[[str], Ask], packed: Callable[..., Packed]
) -> None:
    with pytest.raises(environments.ClientFailed, match="invalid model"):
        asking("node-3.8.1")(packed("text-generation", "web", recipe), call=GREEDY)
    page = (environments.HERE.parents[1] / "docs" / "clients.md").read_text("utf-8")
    assert "transformers.js 3.8.1 refuses language models" in page
