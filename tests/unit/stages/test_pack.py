"""A bundle is whole or it is not there."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgepack.errors import DiskFull
from edgepack.stages import pack


def fill(folder: Path, text: str) -> None:
    (folder / "edgepack.json").write_text(f'{{"name": "bundle", "text": "{text}"}}')


def test_the_folder_appears_at_the_end(tmp_path: Path) -> None:
    with pack.workspace(tmp_path, "bundle") as folder:
        fill(folder, "new")
        assert not (tmp_path / "bundle").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def fail_in(folder: Path) -> None:
    fill(folder, "new")
    raise RuntimeError("broken")


def test_an_error_leaves_the_earlier_bundle(tmp_path: Path) -> None:
    with pack.workspace(tmp_path, "bundle") as folder:
        fill(folder, "old")
    with pytest.raises(RuntimeError, match="broken"), pack.workspace(tmp_path, "bundle") as folder:
        fail_in(folder)
    assert "old" in (tmp_path / "bundle" / "edgepack.json").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_second_build_replaces_it(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with pack.workspace(tmp_path, "bundle") as folder:
            fill(folder, text)
    assert "new" in (tmp_path / "bundle" / "edgepack.json").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(DiskFull) as error, pack.workspace(tmp_path, "bundle"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "--out" in error.value.hint
    assert list(tmp_path.iterdir()) == []


def gone() -> int:
    """The number of a process that has ended."""
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    return int(child.stdout)


def test_what_a_killed_build_left_is_swept(tmp_path: Path) -> None:
    dead, alive = tmp_path / f".building-{gone()}-x", tmp_path / f".building-{os.getpid()}-y"
    for folder in (dead, alive):
        folder.mkdir()
    with pack.workspace(tmp_path, "bundle") as folder:
        fill(folder, "new")
    assert not dead.exists()
    assert alive.exists()


def test_a_kill_inside_the_swap_loses_nothing(tmp_path: Path) -> None:
    old = tmp_path / f".building-{gone()}-x-old"
    old.mkdir()
    fill(old, "old")
    with pack.workspace(tmp_path, "other") as folder:
        fill(folder, "new")
    assert "old" in (tmp_path / "bundle" / "edgepack.json").read_text()
