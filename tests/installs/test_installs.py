"""What each install can do, and what it says of the rest: one line and what to install, never a traceback."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from packaging.utils import canonicalize_name
from PIL import Image
from pyarrow import parquet
from tests.clients import environments
from tests.installs.conftest import ROOT, Install, asked_for

from edgepack.records import Bundle

Installs = Callable[[str], Install]
STORYTELLER, DECOR = ROOT / "samples" / "storyteller" / "model", ROOT / "samples" / "decor" / "model"
ENCODERS = "build encoders and vision models for ONNX targets"
LANGUAGE, CORE_ML = "build language models for ONNX targets", "build for Core ML targets"
IMAGES, PIPELINES = "read image files", "build text-to-image models"
EXTRAS = ["", "llm", "build", "coreml", "diffusion", "images", "data", "sign", "fleet"]


def test_no_extra_is_forgotten() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    # timm's packages are in an environment of their own, which tests/builds/test_timm.py makes
    assert {*EXTRAS, "demo", "dev", "timm"} == {"", *project["optional-dependencies"]}


def test_the_plain_install_has_what_pip_installs(wheel: Path, unpacked: Path) -> None:
    """Pip, left to itself, installs the distributions that are linked to; the constraints are of their versions."""
    constraints = ROOT / "constraints.txt"

    def make(folder: Path) -> None:
        venv.create(folder, with_pip=False)
        pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet"]
        environments.run([*pip, "--disable-pip-version-check", "--constraint", constraints, wheel])

    asked = repr(importlib.metadata.PathDistribution(unpacked / _metadata(unpacked)).requires)
    folder = environments.kept("plain-install", [constraints], sys.version + asked, make)
    code = "import importlib.metadata as m; print(*[d.metadata['Name'] for d in m.distributions()])"
    done = subprocess.run([folder / "bin" / "python", "-c", code], capture_output=True, text=True, check=True)
    assert {canonicalize_name(name) for name in done.stdout.split()} == set(asked_for(unpacked, ""))


def _metadata(unpacked: Path) -> str:
    (found,) = unpacked.glob("edgepack-*.dist-info")
    return found.name


# The install, and what it can do beside running bundles
READY = {
    "": (),
    "llm": (LANGUAGE,),
    "build": (ENCODERS, LANGUAGE, IMAGES),
    "coreml": (ENCODERS, LANGUAGE, IMAGES, CORE_ML),
    "diffusion": (ENCODERS, LANGUAGE, IMAGES, PIPELINES),
    "images": (IMAGES,),
    "data": ("read Parquet data",),
    "sign": ("sign bundles and check signatures",),
    "fleet": ("spread sweeps over machines",),
}


@pytest.mark.parametrize("extra", EXTRAS)
def test_doctor(extra: str, install: Installs) -> None:
    done = install(extra)("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(install(extra)("doctor", "--json").stdout)
    assert {use for use, ready in told["ready"].items() if ready} == {"run and check bundles", *READY[extra]}
    for use, ready in told["ready"].items():
        (line,) = (line for line in done.stdout.splitlines() if line.startswith(f"{use} "))
        assert ("ready" in line, "pip install 'edgepack[" in line) == (ready, not ready)
    assert told["targets"]["rpi"] == {
        "export": ENCODERS in READY[extra], "builder": LANGUAGE in READY[extra], "run": True
    }  # fmt: skip
    assert set(told["targets"]["iphone"].values()) == {CORE_ML in READY[extra]}


@pytest.mark.parametrize("extra", EXTRAS)
def test_help(extra: str, install: Installs) -> None:
    done = install(extra)("--help")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_bundle_runs(extra: str, install: Installs, minilm: Bundle) -> None:
    done = install(extra)("run", minilm.path, "a cat sleeps", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert np.linalg.norm(json.loads(done.stdout)[0]["result"]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("extra", "command", "lacking"),
    [
        ("", "build {encoder} --target rpi", "build"),
        ("", "build {encoder} --target iphone", "coreml"),
        ("", "build {storyteller} --target rpi", "llm"),
        ("", "build {storyteller} --target iphone", "coreml"),
        ("", "build {encoder} --target rpi --dry-run", "build"),
        # before anything is asked of a hub, which nobody reaches here
        ("", "build sentence-transformers/all-MiniLM-L6-v2 --target rpi", "build"),
        ("", "build sentence-transformers/all-MiniLM-L6-v2 --target rpi --dry-run", "build"),
        ("", "build sentence-transformers/all-MiniLM-L6-v2 --target iphone", "coreml"),
        ("", "build org/model --target rpi --task text-generation", "llm"),
        ("llm", "build org/model --target rpi --task fill-mask", "build"),
        ("llm", "build {encoder} --target rpi", "build"),
        ("llm", "build {storyteller} --target iphone", "coreml"),
        ("build", "build {encoder} --target iphone", "coreml"),
        ("images", "build {encoder} --target rpi", "build"),
        ("build", "build {pipeline} --target rpi", "diffusion"),
        # all at once, and no extra that another brings
        ("", "build {encoder} --target rpi --target iphone", "coreml"),
        ("", "build {storyteller} --target rpi --target iphone", "coreml"),
        ("", "build org/model --target rpi --target iphone", "coreml"),
        ("", "build {pipeline} --target iphone --target rpi", "coreml,diffusion"),
        ("coreml", "build {pipeline} --target iphone", "diffusion"),
        ("diffusion", "build {pipeline} --target iphone", "coreml"),
        ("", "run {images} {photo}", "images"),
        ("", "sign {copy} --key {photo}", "sign"),
        ("", "validate {bundle} --public-key {photo}", "sign"),
        ("", "validate {bundle} --suite {suite}", "data"),
        ("", "inspect {package}", "coreml"),
    ],
)
def test_what_an_install_lacks(
    extra: str, command: str, lacking: str, install: Installs, given: dict[str, Path], tmp_path: Path
) -> None:
    done = install(extra)(*command.format(**given).split())
    assert done.returncode == 5, done.stdout + done.stderr
    said, hint = done.stderr.strip().splitlines()[-2:]
    assert "which is not installed" in said
    assert hint.strip() == f"hint: pip install 'edgepack[{lacking}]'"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("extra", "package", "version", "model", "said"),
    [
        (
            "build",
            "transformers",
            "4.57.1",
            "encoder",
            "transformers 4.57.1 is installed, and this needs transformers>=5",
        ),
        ("build", "torch", "2.14.0", "encoder", "torch 2.14.0 is installed, and this needs torch>="),
        ("build", "huggingface_hub", "1.2.3", "encoder", "huggingface-hub 1.2.3 is installed, and this needs hugging"),
        ("coreml", "numpy", "2.4.6", "encoder", "numpy 2.4.6 is installed, and this needs numpy>=2.3,<2.4"),
        ("llm", "numpy", "2.4.6", "storyteller", "numpy 2.4.6 is installed, and this needs numpy>=2.3,<2.4"),
        ("llm", "numpy", "2.4.6", "org/encoder", "numpy 2.4.6 is installed, and this needs numpy>=2.3,<2.4"),
    ],
)
def test_another_version_is_one_line_and_not_an_import_error_later(
    extra: str,
    package: str,
    version: str,
    model: str,
    said: str,
    install: Installs,
    given: dict[str, Path],
    tmp_path: Path,
) -> None:
    """What is told is the version; the package of that version is not downloaded for it."""
    metadata = tmp_path / f"{package}-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: {version}\n")
    edgepack = Install(install(extra).folder, (tmp_path,))
    target = "iphone" if extra == "coreml" else "rpi"
    done = edgepack("build", given.get(model, model), "--target", target)
    assert done.returncode == 5, done.stdout + done.stderr
    first, hint = done.stderr.strip().splitlines()
    assert said in first
    bringing = {"storyteller": "llm"}.get(model, "coreml" if extra == "coreml" else "build")
    assert f"pip install 'edgepack[{bringing}]'" in hint
    assert f"{version} (needs " in edgepack("doctor").stdout
    assert edgepack("run", given["bundle"], "a cat").returncode == 0  # which needs none of it


@pytest.mark.parametrize(
    ("extra", "command", "said"),
    [
        ("llm", "run {written} Once --max-tokens 2 --json", '"tokens": 2'),
        ("build", "run {traced} hello", "fair"),
        ("diffusion", "validate {drawing}", "golden vectors"),
        ("", "run {drawing} a-red-sofa --steps 1 -o {image}", "64 x 64"),
        ("coreml", "validate {package}/..", "golden vectors"),
        ("images", "run {images} {photo}", "class "),
        ("data", "validate {bundle} --suite {suite}", "spearman"),
    ],
)
def test_an_extra_is_enough(extra: str, command: str, said: str, install: Installs, given: dict[str, Path]) -> None:
    done = install(extra)(*command.format(**given).split())
    assert done.returncode == 0, done.stdout + done.stderr
    assert said in done.stdout


@pytest.fixture(scope="module")
def given(
    install: Installs,
    tiny: Callable[[str], Path],
    build: Callable[..., tuple[Bundle, ...]],
    minilm: Bundle,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """What the commands are about: models, and bundles, of which four are made by the installs that can."""
    folder, encoder = tmp_path_factory.mktemp("given"), tiny("text-classification")
    files = {name: folder / name for name in ("photo.png", "suite.toml", "pairs.parquet", "copy")}
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(files["photo.png"])
    pairs = {"sentence1": ["a cat", "a dog", "rain"], "sentence2": ["a cat", "rain", "snow"], "score": [5.0, 1.0, 3.0]}
    parquet.write_table(pyarrow.table(pairs), files["pairs.parquet"])
    files["suite.toml"].write_text(
        '[[check]]\nkind = "metric"\nmetric = "spearman"\nat_least = 0.1\ndata = { path = "pairs.parquet" }\n'
    )
    shutil.copytree(minilm.path, files["copy"])
    for extra, model, target in (
        ("llm", STORYTELLER, "rpi"),
        ("build", encoder, "rpi"),
        ("coreml", encoder, "iphone"),
        ("diffusion", DECOR, "rpi"),
    ):
        done = install(extra)("build", model, "--target", target, "--out", folder / extra, "--no-speed")
        assert done.returncode == 0, done.stdout + done.stderr
    (written,), (traced,) = folder.glob("llm/*-rpi"), folder.glob("build/*-rpi")
    (drawing,) = folder.glob("diffusion/*-rpi")
    (package,) = folder.glob("coreml/*/*.mlpackage")
    return {
        "encoder": encoder,
        "storyteller": STORYTELLER,
        "pipeline": DECOR,
        "bundle": minilm.path,
        "images": build(tiny("image-classification"), "rpi")[0].path,
        "written": written,
        "traced": traced,
        "drawing": drawing,
        "image": folder / "image.png",
        "package": package,
        "photo": files["photo.png"],
        "suite": files["suite.toml"],
        "copy": files["copy"],
    }


def test_the_wheel_holds_the_templates_of_apps(wheel: Path) -> None:
    left = {"node_modules", "dist", "__pycache__"}  # by tools, in a folder that is worked in
    files = [file.relative_to(ROOT) for app in (ROOT / "targets").glob("*/app") for file in app.rglob("*")]
    wanted = {f"edgepack/_{file.as_posix()}" for file in files if (ROOT / file).is_file() and not left & {*file.parts}}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if re.match(r"edgepack/_targets/[^/]+/app/", name)}
    assert len(wanted) > 150
    assert held == wanted


def test_the_long_description_has_no_link_that_leads_nowhere(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        (name,) = (name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        text = file.read(name).decode()
    assert "# edgepack" in text
    assert not re.findall(r"\]\((?!https?:)", text)
