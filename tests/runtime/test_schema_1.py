"""Bundles that earlier versions wrote, with a manifest of schema 1: they open, run, validate and can be shown."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from tests.conftest import ROOT
from tests.signers import key, private_pem, public_pem, written
from typer.testing import CliRunner

import edgepack
from edgepack.cli.app import app
from edgepack.errors import BundleError
from edgepack.runtime import archive, manifest, measurements
from edgepack.runtime.submodel import MODEL

BUNDLES = ROOT / "tests" / "data" / "schema-1"
STORED: dict[str, dict[str, Any]] = json.loads((BUNDLES / "answers.json").read_text("utf-8"))
TEXTS = ["rain fell on paris all day", "the quick brown fox"]
SCHEMA = json.loads((ROOT / "packager" / "edgepack" / "schemas" / "bundle-2.json").read_text("utf-8"))


def drawn() -> np.ndarray:
    y, x = np.mgrid[0:30, 0:22]
    waves = [np.sin(y / (5 + channel)) + np.cos(x / (7 - channel)) for channel in range(3)]
    return (np.stack(waves, axis=-1) * 60 + 127).astype(np.uint8)


CALLS: dict[str, Callable[[Any], Any]] = {
    "text-embedding": lambda model: model.embed(TEXTS),
    "text-classification": lambda model: model.classify(TEXTS),
    "token-classification": lambda model: model.tag(TEXTS),
    "fill-mask": lambda model: model.predict(["rain [MASK] on paris"]),
    "question-answering": lambda model: model.predict([("where did rain fall", TEXTS[0])]),
    "image-classification": lambda model: model.classify([drawn()]),
    "image-embedding": lambda model: model.embed([drawn()]),
    "text-generation": lambda model: ["".join(model.generate("Once upon a time", max_tokens=6))],
}


def same(found: Any, stored: Any) -> None:
    """Numbers are close, all else is equal."""
    if isinstance(stored, float):
        assert found == pytest.approx(stored, abs=0.02)  # int8 kernels of other processors round otherwise
    elif isinstance(stored, dict):
        assert set(vars(found)) == set(stored)
        for name, value in stored.items():
            same(getattr(found, name), value)
    elif isinstance(stored, list):
        assert len(found) == len(stored)
        for one, other in zip(found, stored, strict=True):
            same(one, other)
    else:
        assert found == stored


def invoke(*line: object) -> str:
    done = CliRunner().invoke(app, list(map(str, line)), env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.output


def test_there_is_one_of_every_task() -> None:
    assert {entry["task"] for entry in STORED.values()} == set(CALLS)
    assert set(STORED) == {folder.name for folder in BUNDLES.iterdir() if folder.is_dir()}


@pytest.mark.parametrize("name", STORED)
def test_it_answers_as_it_did(name: str) -> None:
    task = STORED[name]["task"]
    assert json.loads((BUNDLES / name / "edgepack.json").read_text("utf-8"))["schema"] == 1
    same([*CALLS[task](edgepack.load(BUNDLES / name))], STORED[name]["answer"])


@pytest.mark.parametrize("name", STORED)
def test_it_is_read_as_schema_2(name: str) -> None:
    listed = manifest.read(BUNDLES / name)
    jsonschema.validate(dict(listed.table), SCHEMA)
    before = json.loads((BUNDLES / name / "edgepack.json").read_text("utf-8"))
    model = listed.models[MODEL]
    assert list(listed.models) == [MODEL]
    assert model.path == BUNDLES / name / before["model"]["file"]
    assert [spec.name for spec in model.inputs] == [spec["name"] for spec in before["model"]["inputs"]]
    assert sorted(model.files) == sorted(file for file in before["files"] if "model" in file)
    assert listed.model_bytes == model.bytes == sum(before["files"][file]["bytes"] for file in model.files)


@pytest.mark.parametrize("name", STORED)
def test_commands_take_it(name: str, tmp_path: Path) -> None:
    assert "passed" in invoke("validate", BUNDLES / name)
    shown = invoke("inspect", BUNDLES / name)
    assert "inputs and outputs" in shown
    assert json.loads(invoke("inspect", BUNDLES / name, "--json"))["models"][MODEL]["format"] in ("onnx", "coreml")
    file = tmp_path / "m.edgepack"
    invoke("pack", BUNDLES / name, "--zip", "--out", file)
    assert manifest.read(archive.opened(file)).table == manifest.read(BUNDLES / name).table
    assert name in invoke("compare", BUNDLES / name, file, "--json")


def test_it_can_be_signed(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(BUNDLES / "tiny-text-embedding-rpi", tmp_path / "bundle"))
    pair = key()
    invoke("sign", folder, "--key", written(tmp_path, "key.pem", private_pem(pair)))
    invoke("validate", folder, "--public-key", written(tmp_path, "key.pub", public_pem(pair)))


def test_an_engine_that_is_not_installed() -> None:
    """On a device without coremltools a bundle for Core ML says which extra brings it."""
    program = f"""
import sys
sys.modules["coremltools"] = None
import edgepack
from edgepack.errors import MissingExtra
try:
    edgepack.load({str(BUNDLES / "tiny-image-classification-iphone")!r})
except MissingExtra as error:
    print(error, error.hint)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "coremltools" in done.stdout
    assert "edgepack[coreml]" in done.stdout


def test_a_model_that_is_not_listed(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(BUNDLES / "tiny-text-embedding-rpi", tmp_path / "bundle"))
    table = json.loads((folder / "edgepack.json").read_text("utf-8"))
    table["model"]["file"] = "other.onnx"
    (folder / "edgepack.json").write_text(json.dumps(table), "utf-8")
    with pytest.raises(BundleError, match=r"does not list 'other.onnx'"):
        manifest.read(folder)


def test_figures_of_an_earlier_schema_are_read_by_their_names_of_today(tmp_path: Path) -> None:
    stored = BUNDLES / "tiny-text-embedding-rpi" / "measurements.json"
    accuracy, _ = measurements.read(stored.parent)
    table = json.loads(stored.read_text("utf-8"))
    assert table["schema"] == 1
    assert accuracy[1].compressed == table["accuracy"][1]["packed"]
    measurements.write(tmp_path, accuracy, ())
    assert measurements.read(tmp_path) == (accuracy, ())
    for wrong in (99, True, "1", None, [1]):
        (tmp_path / "measurements.json").write_text(json.dumps({**table, "schema": wrong}))
        with pytest.raises(BundleError, match="schema"):
            measurements.read(tmp_path)
