"""edgepack doctor where packages are missing, as on a Raspberry Pi."""

from __future__ import annotations

import importlib.metadata
import json

import pytest
from typer.testing import CliRunner

from edgepack.cli.app import app

BUILDING = ("torch", "transformers", "optimum", "onnx", "onnx-ir", "safetensors", "huggingface-hub", "threadpoolctl")
ONNX, CORE_ML = "build for ONNX targets", "build for Core ML targets"


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """``without("torch", …)``: those distributions are not installed."""
    version = importlib.metadata.version

    def hide(*names: str) -> None:
        def found(name: str) -> str:
            if name in names:
                raise importlib.metadata.PackageNotFoundError(name)
            return version(name)

        monkeypatch.setattr(importlib.metadata, "version", found)

    return hide


@pytest.mark.parametrize(
    ("missing", "onnx", "core_ml"),
    [
        ((), True, True),
        (("coremltools",), True, False),
        ((*BUILDING, "coremltools", "pyarrow", "pillow"), False, False),
        (("tokenizers",), True, True),
    ],
)
def test_what_is_missing_is_told(missing: tuple[str, ...], onnx: bool, core_ml: bool, without: object) -> None:
    without(*missing)
    done = CliRunner().invoke(app, ["doctor", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert {name for name, version in told["versions"].items() if version is None} == set(missing)
    assert (told["ready"][ONNX], told["ready"][CORE_ML]) == (onnx, core_ml)
    assert (told["targets"]["rpi"], told["targets"]["iphone"], told["targets"]["mac"]) == (onnx, core_ml, core_ml)


def test_what_to_install(without: object) -> None:
    without("coremltools", "onnx-ir", "tokenizers")
    done = CliRunner().invoke(app, ["doctor"], env={"COLUMNS": "250"})
    assert done.exit_code == 0, done.output
    for advice in ("edgepack[coreml]", "edgepack[build]", "edgepack[llm]", "pip install edgepack "):
        assert advice in done.output
    lines = {line.split()[0]: line for line in done.output.splitlines() if line.split()}
    assert "edgepack[coreml]" in lines["iphone"]
    assert "edgepack[build]" in lines["rpi"]
