"""edgepack doctor where packages are missing, as on a Raspberry Pi."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from edgepack import installed
from edgepack.cli.app import app

BUILDING = ("torch", "transformers", "optimum", "onnx", "onnx-ir", "safetensors", "huggingface-hub", "threadpoolctl")
ONNX, CORE_ML = "build encoders and vision models for ONNX targets", "build for Core ML targets"
LANGUAGE = "build language models for ONNX targets"


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Versions are looked up once per process: before a test, and after it, nothing is known."""
    installed._version.cache_clear()
    yield
    installed._version.cache_clear()


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
    ("missing", "onnx", "language", "core_ml"),
    [
        ((), True, True, True),
        (("coremltools",), True, True, False),
        (("torch", "transformers"), False, True, False),
        ((*BUILDING, "coremltools", "pyarrow", "pillow"), False, False, False),
        (("tokenizers",), False, False, False),  # nothing goes without
    ],
)
def test_what_is_missing_is_told(
    missing: tuple[str, ...], onnx: bool, language: bool, core_ml: bool, without: object
) -> None:
    without(*missing)
    done = CliRunner().invoke(app, ["doctor", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert {name for name, version in told["versions"].items() if version is None} == set(missing)
    assert [told["ready"][use] for use in (ONNX, LANGUAGE, CORE_ML)] == [onnx, language, core_ml]
    runs = "tokenizers" not in missing
    assert told["targets"]["rpi"] == {"export": onnx, "builder": language, "run": runs}
    assert told["targets"]["iphone"] == {"export": core_ml, "builder": core_ml, "run": core_ml}


def test_what_to_install(without: object) -> None:
    without("coremltools", "onnx-ir")
    done = CliRunner().invoke(app, ["doctor"], env={"COLUMNS": "250"})
    assert done.exit_code == 0, done.output
    for advice in ("pip install 'edgepack[coreml]'", "pip install 'edgepack[build]'", "pip install 'edgepack[llm]'"):
        assert advice in done.output
    lines = {line.split()[0]: line for line in done.output.splitlines() if line.split()}
    assert lines["iphone"].split()[1:] == ["edgepack[coreml]"] * 3
    assert lines["rpi"].split()[1:] == ["edgepack[build]", "edgepack[llm]", "ready"]


def test_another_version_is_named_with_the_one_that_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "4.57.1" if name == "transformers" else version(name)
    )
    done = CliRunner().invoke(app, ["doctor", "--json"])
    told = json.loads(done.stdout)
    assert told["lacking"][ONNX] == told["lacking"][CORE_ML] == ["transformers 4.57.1 (needs >=5.20,<6)"]
    assert not told["targets"]["rpi"]["export"]
    assert told["targets"]["rpi"]["builder"]
