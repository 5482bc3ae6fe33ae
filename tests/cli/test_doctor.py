"""edgepack doctor where packages are missing, as on a Raspberry Pi."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests import plug_in
from typer.testing import CliRunner

from edgepack import installed
from edgepack.cli.app import app
from edgepack.errors import MissingExtra
from edgepack.plans import Request
from edgepack.stages import plan

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


def test_another_package_s_broken_plug_ins_hide_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "needs_mars": "import tools_of_mars\n", "torn": "import no_such_thing\n", "raises": "1 / 0\n", "empty": "",
        "ends": "raise SystemExit(3)\n",
    }.items():  # fmt: skip
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    meta = tmp_path / "theirs-1.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: theirs\nVersion: 1\n"
        "Provides-Extra: mars\nRequires-Dist: tools_of_mars>=1 ; extra == 'mars'\n"
    )
    (meta / "entry_points.txt").write_text(
        "[edgepack.formats]\nmars = needs_mars\ntorn = torn\nempty = empty\n[edgepack.tasks]\nsmelling = raises\n"
        "ends = ends\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    done = CliRunner().invoke(app, ["doctor"], env={"COLUMNS": "250"})
    assert done.exit_code == 0, done.output
    rows = {line.split("  ")[0]: line for line in done.output.splitlines()}
    assert "pip install 'theirs[mars]'" in rows["use theirs's plug-in mars (formats)"]
    assert "tools-of-mars" in rows["use theirs's plug-in mars (formats)"]
    assert "of theirs imports no_such_thing, which is not installed" in rows["use theirs's plug-in torn (formats)"]
    assert "empty (formats) of theirs lacks TITLE" in rows["use theirs's plug-in empty (formats)"]
    assert "ZeroDivisionError" in rows["use theirs's plug-in smelling (tasks)"]
    assert "ends of theirs calls sys.exit when it is imported" in rows["use theirs's plug-in ends (tasks)"]
    assert {ONNX, CORE_ML} <= rows.keys()
    told = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    assert told["ready"][ONNX]
    assert not told["ready"]["use theirs's plug-in mars (formats)"]


def test_what_all_models_need_is_told_before_the_hub_is_asked(without: object) -> None:
    without("coremltools")
    plan.check_download(Request(model="nobody/nothing", targets=("rpi",)), downloads=True)
    with pytest.raises(MissingExtra) as error:
        plan.check_download(Request(model="nobody/nothing", targets=("iphone",)), downloads=True)
    assert error.value.hint == "pip install 'edgepack[coreml]'"


TWINS = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "{name}"
version = "1"
[project.entry-points."edgepack.tasks"]
text-embedding = "{name}"
smelling = "{name}"
[tool.hatch.build.targets.wheel]
packages = ["{name}"]
"""


def test_plug_ins_that_another_of_the_same_name_hides_are_named(
    edgepack: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    for name in ("first", "second"):
        (tmp_path / name / name).mkdir(parents=True)
        (tmp_path / name / name / "__init__.py").touch()
        (tmp_path / name / "pyproject.toml").write_text(TWINS.format(name=name))
        plug_in.install(tmp_path / name, tmp_path / "site")
    paths = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths}
    told = json.loads(edgepack("doctor", "--json", env=environment).stdout)["shadowed"]
    hidden = {(one["kind"], one["name"], one["used"], one["unused"]) for one in told}
    ours = {("tasks", "text-embedding", "edgepack", theirs) for theirs in ("first", "second")}
    assert ours < hidden
    ((kind, name, used, unused),) = hidden - ours
    assert (kind, name, {used, unused}) == ("tasks", "smelling", {"first", "second"})
    shown = edgepack("doctor", env=environment).stdout.split("plug-ins of the same name")[1]
    assert re.search(r"text-embedding \(tasks\) +edgepack +first *\n", shown)
    assert re.search(rf"smelling \(tasks\) +{used} +{unused} *\n", shown)


def test_where_no_plug_in_hides_another_nothing_is_said() -> None:
    done = CliRunner().invoke(app, ["doctor"])
    assert "plug-ins of the same name" not in done.output
