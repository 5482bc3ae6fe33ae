"""The wrapper's own call."""

from __future__ import annotations

import json

import numpy as np
from edgepack_model import TextEmbedding
from edgepack_model._bundle import BUNDLE

from edgepack.runtime import golden
from edgepack.runtime.opening import opened


def test_vectors_are_the_originals() -> None:
    facts = opened(BUNDLE, verify=False).model.golden
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
