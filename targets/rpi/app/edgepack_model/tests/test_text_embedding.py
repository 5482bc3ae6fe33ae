"""The wrapper's own call."""

from __future__ import annotations

import json

import numpy as np
import pytest
from edgepack_model import EdgepackError, TextEmbedding
from edgepack_model._bundle import BUNDLE

from edgepack.runtime import golden
from edgepack.runtime.opening import opened
from edgepack.runtime.processing import Text

LISTED = opened(BUNDLE, verify=False)


def test_vectors_are_the_originals() -> None:
    facts = LISTED.model.golden
    stored = golden.read(BUNDLE / facts.file)
    names = sorted(name for name in stored if name.endswith(".text"))
    model = TextEmbedding()
    vectors = model.embed([json.loads(stored[name].tobytes()) for name in names])
    assert vectors.shape[0] == len(names) > 0
    for name, vector in zip(names, vectors, strict=True):
        original = stored[name.replace(".text", f".output.{facts.output}")][0]
        cosine = float(vector @ original / np.linalg.norm(vector) / np.linalg.norm(original))
        assert cosine >= facts.least_cosine


def test_alike_texts_are_nearer() -> None:
    model = TextEmbedding()
    one, other, far = model.embed(["A cat sleeps.", "A cat sleeps.", "Interest rates rose again."])
    assert model.similarity(one, other) > model.similarity(one, far)


def test_a_prompt_is_a_name_of_the_models_or_a_text_of_ones_own() -> None:
    model = TextEmbedding()
    if LISTED.processing.section(Text).include_prompt:
        assert (model.embed(["cat sleeps."], prompt="A ") == model.embed(["A cat sleeps."], prompt="")).all()
    for name, text in model.prompts.items():
        assert (model.embed(["A cat."], prompt_name=name) == model.embed(["A cat."], prompt=text)).all()
    for name, own in (("none such", None), ("a", "b")):
        with pytest.raises(EdgepackError):
            model.embed(["A"], prompt_name=name, prompt=own)
