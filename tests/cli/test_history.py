"""bench adds to a history, and compare --since reads it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.unit.test_history import LATER, entry

from edgepack import history
from edgepack.records import Bundle

Command = Callable[..., subprocess.CompletedProcess[str]]
BENCH = ("--runs", 3, "--seconds", 0, "--input", "1x8")


def test_bench_adds_to_the_project_s_history(edgepack: Command, minilm: Bundle, tmp_path: Path) -> None:
    edgepack("bench", minilm.path, *BENCH, cwd=tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / "edgepack.toml").touch()
    for command in (["git", "init", "-q"], ["git", "-c", "user.name=a", "-c", "user.email=b", "commit", "-q",
                                           "--allow-empty", "-m", "one"]):  # fmt: skip
        subprocess.run(command, cwd=tmp_path, check=True)
    edgepack("bench", minilm.path, *BENCH, cwd=tmp_path)
    edgepack("bench", minilm.path, *BENCH, "--label", "v2", cwd=tmp_path)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    first, second = history.read(tmp_path / history.FILE)
    assert commit.startswith(first.label)
    assert (second.label, second.device, second.recipe) == ("v2", "local", "int8")
    assert second.timing.runs == 3
    done = edgepack("bench", minilm.path, *BENCH, "--history", tmp_path / "edgepack.toml" / "h", cwd=tmp_path)
    assert (done.returncode, "cannot be used" in done.stderr, done.stdout) == (6, True, "")


def test_compare_since(edgepack: Command, minilm: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "h.sqlite"
    name = minilm.path.name
    marked = replace(entry(LATER).timing, verdict="throttled")
    history.add(file, [entry(bundle=name, label="v1"), entry(LATER, 2, "v2", bundle=name), entry(day=1, label="v1")])
    history.add(file, [entry(day=3, label="v3", bundle=name, device="desk", timing=marked)])
    done = edgepack("compare", minilm.path, "--since", "v1", "--history", file)
    assert (done.returncode, "of 1 medians 1 are slower" in done.stderr) == (1, True)
    assert "1.104" in done.stdout
    done = edgepack("compare", "--since", "2026-11-02", "--history", file, "--json")
    (change,) = json.loads(done.stdout)
    assert (change["slower"], change["before"]["label"], change["now"]["label"]) == (True, "v1", "v2")
    done = edgepack("compare", "--since", "2027-01-01", "--history", file)
    assert (done.returncode, "3 of 4 undisturbed" in done.stdout) == (0, True)
    assert edgepack("compare", "--since", "v9", "--history", file).returncode == 2
    assert edgepack("compare", minilm.path, minilm.path, "--history", file).returncode == 2
    assert edgepack("compare", "--since", "v1", cwd=tmp_path).returncode == 2
    assert edgepack("compare", "--since", "v1", "--history", minilm.path / "edgepack.json").returncode == 6
