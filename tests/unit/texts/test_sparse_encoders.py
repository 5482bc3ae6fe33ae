"""Folders of sentence-transformers' SparseEncoder: the vectors are its own, or the folder is refused."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from edgepack.errors import UnsupportedModel, UsageError

from .conftest import TEXTS, edit, read, save_bert

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sentence_transformers import SparseEncoder

pytestmark = pytest.mark.filterwarnings("ignore")
TOLERANCE = 2e-6
POOLING, MODEL = "1_SpladePooling/config.json", "config_sentence_transformers.json"
SPARSE = "sparse-embedding"


def saved(folder: Path) -> Path:
    (folder / "plain").mkdir()
    save_bert(folder / "plain", "BertForMaskedLM")
    SparseEncoder(str(folder / "plain"), device="cpu").save_pretrained(str(folder / "model"))
    return folder / "model"


def check(folder: Path, task: str | None = None, **options: str) -> None:
    ours, true = read(folder, task), SparseEncoder(str(folder), device="cpu")
    assert ours.source.task == SPARSE
    wanted = true.encode(TEXTS, **options)
    found = ours.model.embed(TEXTS, **options)
    for row, vector in zip(wanted.to_dense().numpy(), found, strict=True):
        np.testing.assert_array_equal(vector.indices, np.flatnonzero(row))
        np.testing.assert_allclose(vector.values, row[vector.indices], rtol=1e-5, atol=TOLERANCE)
    short = true.encode(TEXTS[0], max_active_dims=7, **options).to_dense().numpy()
    kept = ours.model.embed(TEXTS[0], max_active_dims=7, **options)
    np.testing.assert_array_equal(kept.indices, np.flatnonzero(short))
    assert list(ours.model.weights(kept).items()) == [
        (token, pytest.approx(weight, rel=1e-5)) for token, weight in true.decode(wanted[0], top_k=7)
    ]
    alike = true.similarity(wanted, wanted)[:, 1:].to_dense().numpy()
    assert [ours.model.similarity(found[0], other) for other in found[1:]] == pytest.approx(alike[0], rel=1e-5)


@pytest.mark.parametrize(
    "pooling", [{}, {"pooling_strategy": "sum"}, {"activation_function": "log1p_relu"}], ids=["usual", "sum", "twice"]
)
def test_vectors(tmp_path: Path, pooling: dict[str, str]) -> None:
    folder = saved(tmp_path)
    edit(folder / POOLING, **pooling)
    check(folder)


def test_prompts_and_lengths(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    before = read(folder).model.dense(TEXTS)
    edit(folder / MODEL, prompts={"query": "a question: ", "document": "a text: "}, default_prompt_name="query")
    edit(folder / "sentence_bert_config.json", max_seq_length=12)
    check(folder)
    check(folder, prompt_name="document")
    assert np.abs(np.subtract(before, read(folder).model.dense(TEXTS))).max() > 1e-3


def test_bare_folders_and_old_ones(tmp_path: Path) -> None:
    """A masked language model without modules.json; a folder of the first releases, with MLMTransformer."""
    folder = saved(tmp_path)
    check(tmp_path / "plain", SPARSE)
    listed = json.loads((folder / "modules.json").read_text())
    listed[0]["type"] = "sentence_transformers.sparse_encoder.models.MLMTransformer"
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 20, "do_lower_case": false}')
    check(folder)


def test_what_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    for task in ("fill-mask", "text-embedding"):
        with pytest.raises(UnsupportedModel, match=f"which is for sparse-embedding, not {task}"):
            read(folder, task)
    with pytest.raises(UsageError, match="max_active_dims"):
        read(folder).model.embed("a", max_active_dims=0)
    edit(folder / POOLING, activation_function="gelu")
    with pytest.raises(UnsupportedModel, match="the max of gelu, which is not supported"):
        read(folder)
    edit(folder / POOLING, activation_function="relu", chunk=3)
    with pytest.raises(UnsupportedModel, match="has 'chunk', which edgepack does not read"):
        read(folder)
    (folder / "modules.json").write_text(json.dumps(json.loads((folder / "modules.json").read_text())[:1]))
    with pytest.raises(UnsupportedModel, match="a SparseEncoder with nothing behind its transformer"):
        read(folder)
