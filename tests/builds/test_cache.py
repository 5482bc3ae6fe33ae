"""A build from a damaged cache gives the bundle that it would have given, or it is an error: never other weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgepack import cache

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEPACK_CACHE", str(tmp_path / "cache"))


def zeros(file: Path) -> None:
    """Up to 4 kB in the middle, as a disk leaves them: size and time are kept."""
    state = file.stat()
    with file.open("r+b") as stream:
        stream.seek(max(state.st_size // 2 - 2048, 0))
        stream.write(bytes(min(4096, state.st_size)))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_every_file_of_the_cache(tmp_path: Path, tiny: Callable[[str], Path], edgepack: Command) -> None:
    command = ["build", tiny("text-embedding"), "-t", "rpi", "--allow-loss", "--no-speed", "--out", tmp_path / "out"]
    assert edgepack(*command).returncode == 0
    bundle = tmp_path / "out" / "tiny-text-embedding-rpi" / "edgepack.json"
    first = json.loads(bundle.read_text())
    kinds = {entry.kind for entry in cache.entries()}
    assert {"exports", "outputs", "text-folders", "model-folders"} <= kinds
    for damage in (zeros, lambda file: os.truncate(file, file.stat().st_size // 2)):
        for file in list(cache.root().rglob("*")):
            if file.is_file() and not file.is_symlink() and file.name != "facts.json":
                damage(file)
        done = edgepack(*command)
        assert done.returncode == 0, done.stderr
        assert (
            done.stderr.count("is damaged and will be made again") >= len(kinds) - 1
        )  # "model-folders" is only written
        assert json.loads(bundle.read_text()) == first
        assert "damaged" not in edgepack(*command).stderr


def test_what_a_killed_build_left_is_listed(tmp_path: Path, edgepack: Command) -> None:
    code = (
        "import os; from edgepack import cache; "
        "cache.fetch('exports', {}, lambda to: (to.joinpath('x').write_text('1' * 5000), os._exit(9)))"
    )
    subprocess.run([sys.executable, "-c", code], check=False, env=os.environ)
    listed = json.loads(edgepack("cache", "--json").stdout)["entries"]
    assert [(entry["kind"], entry["bytes"], entry["what"]) for entry in listed] == [
        ("exports", 5000, "left by a build that was stopped")
    ]
    assert "left by a build" in edgepack("cache").stdout
    (tmp_path / "cache" / "mine").write_text("mine")
    assert json.loads(edgepack("cache", "--clear", "--json").stdout)["freed"] == 5000
    assert os.listdir(tmp_path / "cache") == ["mine"]
