"""The generated Python package: its own tests pass with no edgepack in sight, for every task that has a wrapper."""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from tests import systemd
from tests.clients import boards

from edgepack import embed as room
from edgepack import runtime
from edgepack.embed import Request
from edgepack.records import Bundle
from edgepack.runtime.opening import opened

Build = Callable[..., tuple[Bundle, ...]]
TASKS = [
    "sparse-embedding",
    "text-classification",
    "text-ranking",
    "token-classification",
    "question-answering",
    "fill-mask",
    "image-classification",
    "image-embedding",
    "zero-shot-image-classification",
    "audio-classification",
]
ON_A_BOARD = """
import json, platform, sys, threading
from urllib.request import urlopen
sys.modules["edgepack"] = None  # an import of it fails
from mood import Mood
from mood._bundle import BUNDLE, opened
from mood._edgepack.runtime import serving
from mood._edgepack.runtime.opening import opened as listed
from mood._edgepack.runtime.runner import Here
vector = Mood(threads=1).embed(["a cat sleeps"])[0]
golden = Here(listed(BUNDLE)).golden("model").passed
ready, said = threading.Event(), []
limits = serving.Limits(idle_stop=1)
service = threading.Thread(
    target=serving.serve,
    args=("mood", "text-embedding", lambda: opened(BUNDLE, 1)),
    kwargs={"port": 0, "limits": limits, "say": lambda line: (said.append(line), ready.set())},
)
service.start()
ready.wait(60)
with urlopen(said[0].split()[-1].replace("/v1", "/health"), timeout=60) as answer:
    health = json.loads(answer.read())["status"]
print(json.dumps({"machine": platform.machine(), "golden": golden, "service": health, "vector": vector.tolist()}))
"""
WITHOUT = """
import sys
sys.modules["edgepack"] = None  # an import of it fails
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "mood"]))
"""


def check(bundle: Path, app: Path) -> Path:
    """Embed ``bundle`` and run what was generated; the generated folder."""
    folder = room.embed(Request(listed=opened(bundle), into=app, name="Mood")).folder
    environment = {**os.environ, "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-W", "error::SyntaxWarning", "-c", WITHOUT]
    done = subprocess.run(command, cwd=app, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\.{3,}", done.stdout)
    assert room.check(Request(listed=opened(bundle), into=app))[1] == ()
    own = [file for file in folder.rglob("*.py") if "_edgepack" not in file.parts]
    assert sum(len(file.read_text().splitlines()) for file in own) < 400
    return folder


@pytest.mark.parametrize("task", TASKS)
def test_a_task(task: str, build: Build, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    check(build(tiny(task), "rpi", recipes=("fp32",))[0].path, tmp_path)


@systemd.HERE
def test_systemd_takes_the_units_and_starts_the_service(minilm: Bundle, tmp_path: Path) -> None:
    folder = room.embed(Request(listed=opened(minilm.path), into=tmp_path, name="Mood")).folder
    (tmp_path / "units").mkdir()
    systemd.verify(folder / "systemd", tmp_path / "units")
    unit = folder / "systemd" / "mood.service"
    assert systemd.exposure(unit) < 2
    with (
        systemd.activated(unit, tmp_path, "--idle-stop", "1") as url,
        urlopen(f"{url}/v1/models", timeout=60) as answer,  # it waits in the socket until the service is there
    ):
        assert json.loads(answer.read())["data"][0]["id"] == minilm.path.name


def test_sentences(minilm: Bundle, tmp_path: Path) -> None:
    folder = check(minilm.path, tmp_path)
    units = folder / "systemd"
    service, listening = units / "mood.service", units / "mood.socket"
    read = configparser.ConfigParser(strict=False, interpolation=None)
    read.optionxform = str  # type: ignore[assignment, method-assign]
    read.read([service, listening])
    assert read["Service"]["ExecStart"].split()[1:3] == ["-m", "mood"]
    assert re.fullmatch(r"\d+M", read["Service"]["MemoryMax"])
    assert read["Socket"]["ListenStream"] == "127.0.0.1:8080"
    assert read["Unit"]["Description"]
    needs = re.findall(r"^[a-z0-9]+", (folder / "requirements.txt").read_text(), re.MULTILINE)
    assert needs == ["h11", "numpy", "onnxruntime", "tokenizers"]


@pytest.mark.slow
def test_sentences_on_a_raspberry_pi(minilm: Bundle, tmp_path: Path) -> None:
    """An emulated one, with Debian's Python and what requirements.txt names."""
    room.embed(Request(listed=opened(minilm.path), into=tmp_path, name="Mood"))
    command = [*boards.python("pi-5", tmp_path), "-c", ON_A_BOARD]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["machine"], found["golden"], found["service"]) == ("aarch64", True, "ok")
    here = runtime.load(minilm.path).embed("a cat sleeps")
    assert float(np.dot(found["vector"], here)) > 0.99  # other kernels of int8, the same model


def test_a_language_model(build: Build, data: Path, tmp_path: Path) -> None:
    model = Path(__file__).parents[2] / "samples" / "storyteller" / "model"
    check(build(model, "desktop")[0].path, tmp_path)


def test_images_from_prompts(build: Build, diffusers_folder: Callable[[str], Path], tmp_path: Path) -> None:
    check(build(diffusers_folder("sd"), "rpi", recipes=("fp32",), allow_loss=True)[0].path, tmp_path)


def test_what_is_generated_is_typed(minilm: Bundle, tmp_path: Path) -> None:
    room.embed(Request(listed=opened(minilm.path), into=tmp_path, name="Mood"))
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "mood/_text_embedding.py"]
    options = ["--config-file=", "--allow-subclassing-any", "--ignore-missing-imports"]
    done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_two_packages_stand_side_by_side(minilm: Bundle, tmp_path: Path) -> None:
    for name in ("One", "Two"):
        room.embed(Request(listed=opened(minilm.path), into=tmp_path, name=name))
    code = "from one import One; from two import Two; print((One().embed(['a']) == Two().embed(['a'])).all())"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr
    assert len(json.loads((tmp_path / "one" / "edgepack-embedded.json").read_text())["files"]) > 100
