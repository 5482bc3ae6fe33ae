"""Language models for Core ML from the command line: in one package, in several, for fixed lengths."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.builds.with_coremltools import reopen
from tests.conftest import ROOT
from typer.testing import CliRunner

import edgepack
from edgepack import targets
from edgepack.cli.app import app
from edgepack.errors import DoesNotFit
from edgepack.records import Bundle
from edgepack.runtime import golden, manifest
from edgepack.runtime.engines import open_session

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

MODEL = ROOT / "samples" / "storyteller" / "model"
SMALL = 700_000  # bytes of a file; int4 leaves 1.9 MB
LINE = 'file_limit = "1 GB"'
Build = Callable[..., tuple[Bundle, ...]]


def phone(folder: Path, limit: int) -> str:
    """The target iphone with another limit."""
    text = (targets.ROOT / "iphone" / "target.toml").read_text("utf-8")
    assert LINE in text
    folder.mkdir()
    (folder / "target.toml").write_text(text.replace(LINE, f"file_limit = {limit}"), "utf-8")
    return str(folder)


def invoke(*line: object) -> str:
    done = CliRunner().invoke(app, list(map(str, line)), env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The storyteller's bundle in parts."""
    folder = tmp_path_factory.mktemp("split")
    invoke("build", MODEL, "--target", phone(folder / "phone", SMALL), "--context", 64, "--no-speed", "--out", folder)
    (bundle,) = (file.parent for file in folder.glob("*/edgepack.json"))
    return bundle


def test_a_split_bundle(split: Path, tmp_path: Path) -> None:
    listed = manifest.read(split)
    assert listed.model.path.name == "model.mlpackages"
    parts = sorted(file.name for file in listed.model.path.iterdir())
    assert parts == [f"{place}-of-{len(parts)}.mlpackage" for place in range(1, len(parts) + 1)]
    assert len(parts) > 2
    assert reopen(split, tmp_path) == parts
    stored = {name: entry["bytes"] for name, entry in listed.table["files"].items() if name.startswith("model")}
    assert max(stored.values()) <= SMALL
    assert listed.model_bytes == sum(stored.values()) > (len(parts) - 1) * SMALL / 2
    shown = invoke("inspect", split)
    assert f"model.mlpackages/1–{len(parts)}-of-{len(parts)}.mlpackage" in shown
    assert "constexpr_blockwise_shift_scale" in shown
    assert "not measured: Core ML runs only on Apple's systems" in invoke("bench", split)
    invoke("pack", "--zip", split, "--out", tmp_path / "one.edgepack")
    assert edgepack.load(tmp_path / "one.edgepack").continued([5, 6], 2) == edgepack.load(split).continued([5, 6], 2)


def test_a_split_bundle_says_what_one_package_says(split: Path, build: Build, tmp_path: Path) -> None:
    whole = build(MODEL, "iphone", context=64)[0].path
    first, second = (invoke("run", bundle, "The following", "--max-tokens", 12) for bundle in (split, whole))
    assert first == second
    suite = tmp_path / "release.toml"
    suite.write_text(
        '[[check]]\nkind = "golden"\n[[check]]\nkind = "agreement"\nmetric = "kl"\nat_most = 0.03\n', "utf-8"
    )
    checks = json.loads(invoke("validate", split, "--suite", suite, "--json", "--out", tmp_path / "report"))["checks"]
    assert [check["passed"] for check in checks] == [True, True]
    assert "side by side" in invoke("compare", split, whole)


def test_a_matrix_is_not_cut(build: Build, tmp_path: Path) -> None:
    with pytest.raises(DoesNotFit, match="makes the embedding alone"):
        build(MODEL, phone(tmp_path / "phone", 200_000), context=64)


def test_what_is_traced_lies_in_one_file(build: Build, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(DoesNotFit, match=r"weight.bin takes .* phone takes files of 60.0 kB"):
        build(tiny("text-embedding"), phone(tmp_path / "phone", 60_000), allow_loss=True)


def test_fixed_lengths(tmp_path: Path, build: Build) -> None:
    whole = build(MODEL, "iphone", context=64)[0].path
    for name, limit, model in (("one", 10**9, "model.mlpackage"), ("several", SMALL, "model.mlpackages")):
        target, out = phone(tmp_path / name, limit), tmp_path / f"{name}-dist"
        invoke("build", MODEL, "--target", target, "--context", 64, "--lengths", "1,16", "--no-speed", "--out", out)
        (bundle,) = (file.parent for file in out.glob("*/edgepack.json"))
        listed = manifest.read(bundle)
        assert listed.model.path.name == model
        assert reopen(bundle, tmp_path / f"{name}-copy")
        assert {spec.name: spec.shape for spec in listed.model.inputs} == {
            "inputIds": (1, "1|16"), "causalMask": (1, 1, "1|16", 64), "position": (1,)
        }  # fmt: skip
        assert golden.check(open_session(listed.model.path, listed.model.format), listed).passed
        said = [invoke("run", one, "The following", "--max-tokens", 12) for one in (bundle, whole)]
        assert said[0] == said[1]
