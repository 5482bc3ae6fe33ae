"""The wrapper's own call."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from edgepack_model import EdgepackError, SparseEmbedding
from edgepack_model._bundle import BUNDLE

from edgepack.runtime import golden
from edgepack.runtime.opening import opened

LISTED = opened(BUNDLE, verify=False)


def test_vectors_are_the_originals() -> None:
    facts = LISTED.model.golden
    stored = golden.read(BUNDLE / facts.file)
    names = sorted(name for name in stored if name.endswith(".text"))
    vectors = SparseEmbedding().embed([json.loads(stored[name].tobytes()) for name in names])
    assert len(vectors) == len(names) > 0
    for name, vector in zip(names, vectors, strict=True):
        original = stored[name.replace(".text", f".output.{facts.output}")][0]
        whole = np.zeros_like(original)
        whole[vector.indices] = vector.values
        assert whole @ original >= facts.least_cosine * np.linalg.norm(whole) * np.linalg.norm(original)


def test_the_largest_are_kept() -> None:
    model = SparseEmbedding()
    (whole,), (short,) = model.embed(["A cat sleeps."]), model.embed(["A cat sleeps."], max_active_dims=3)
    assert set(short.indices) <= set(whole.indices)
    assert sorted(short.values) == sorted(whole.values)[-3:]
    assert list(model.weights(short).values()) == sorted(short.values, reverse=True)
    assert model.similarity(whole, short) == pytest.approx(float(short.values @ short.values), rel=1e-5)


def test_a_prompt_is_a_name_of_the_models_or_a_text_of_ones_own() -> None:
    model = SparseEmbedding()
    for name, text in {**model.prompts, "": "A "}.items():
        options: dict[str, Any] = {"prompt_name": name} if name else {"prompt": text}
        (found,), (whole,) = model.embed(["cat."], **options), model.embed([f"{text}cat."], prompt="")
        assert found.indices.tolist() == whole.indices.tolist()
    for name, own in (("none such", None), ("a", "b")):
        with pytest.raises(EdgepackError):
            model.embed(["A"], prompt_name=name, prompt=own)
