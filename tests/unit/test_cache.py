"""The build cache: whole entries or none, as they were written or made again, and nothing of the user's touched."""

from __future__ import annotations

import errno
import importlib
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgepack import cache, cachefolder
from edgepack.errors import FileTrouble

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
attacks: Any = importlib.import_module("attacks_files")

FACTS = {"model": "a model", "n": 1}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEPACK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file outside, which entries link to."""
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"weights")
    return file


def write(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "x").write_text("1" * 100)
    (folder / "large").write_bytes(bytes(range(256)) * 80_000)  # of two parts


def test_an_entry_is_made_once() -> None:
    calls: list[Path] = []

    def make(folder: Path) -> None:
        calls.append(folder)
        write(folder)

    first, second = cache.fetch("exports", {"a": 1}, make), cache.fetch("exports", {"a": 1}, make)
    assert first == second == cache.find("exports", {"a": 1})
    assert len(calls) == 1
    assert cache.fetch("exports", {"a": 2}, make) != first
    assert len(cache.entries()) == 2
    assert cache.clear() > 2 * 256 * 80_000
    assert cache.entries() == []


def test_a_failure_leaves_nothing() -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("1")
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        cache.fetch("exports", FACTS, fail)
    assert list((cache.root() / "exports").iterdir()) == []


def test_two_builders_of_one_entry() -> None:
    both = threading.Barrier(2)
    found: list[str] = []

    def make(folder: Path) -> None:
        (folder / "x").write_text("same")
        both.wait(timeout=20)  # both are inside before either has finished

    def run() -> None:
        found.append((cache.fetch("exports", FACTS, make) / "x").read_text())

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["same", "same"]
    assert len(list((cache.root() / "exports").iterdir())) == 1


def test_store_replaces() -> None:
    for text in ("old", "new"):
        folder = cache.store("places", FACTS, lambda to, text=text: (to / "x").write_text(text))
        assert (folder / "x").read_text() == text
    assert cache.find("places", FACTS) == folder
    assert os.listdir(folder.parent) == [folder.name]


def zeros(entry: Path) -> None:
    """A page of a large file, its size and its time kept: what a disk does."""
    state = (entry / "large").stat()
    with (entry / "large").open("r+b") as file:
        file.seek(17_000_000)
        file.write(bytes(4096))
    os.utime(entry / "large", ns=(state.st_atime_ns, state.st_mtime_ns))


def record(entry: Path, text: str) -> None:
    (entry / "facts.json").write_text(text)


def linked_out(entry: Path) -> None:
    (entry / "sub" / "x").rename(entry.parent / "x")
    (entry / "sub" / "x").symlink_to(entry.parent / "x")


def another(entry: Path) -> None:
    shutil.copytree(cache.fetch("exports", {"another": 1}, write), entry, dirs_exist_ok=True)


def fifo(entry: Path) -> None:
    (entry / "sub" / "x").unlink()
    os.mkfifo(entry / "sub" / "x")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "zeros": zeros,
    "cut": lambda entry: os.truncate(entry / "large", 100),
    "empty": lambda entry: os.truncate(entry / "sub" / "x", 0),
    "missing": lambda entry: (entry / "sub" / "x").unlink(),
    "more": lambda entry: (entry / "y").touch(),
    "linked out": linked_out,
    "a FIFO": fifo,
    "no record": lambda entry: (entry / "facts.json").unlink(),
    "cut record": lambda entry: os.truncate(entry / "facts.json", 20),
    "deep record": lambda entry: record(entry, "[" * 100_000),
    "a list for a record": lambda entry: record(entry, "[]"),
    "an earlier form": lambda entry: record(entry, json.dumps(FACTS)),
    "another entry": another,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_made_again(damage: str, caplog: pytest.LogCaptureFixture) -> None:
    entry = cache.fetch("exports", FACTS, write)
    cache._checked.clear()  # as in the next process
    DAMAGES[damage](entry)
    cache.entries()
    with caplog.at_level(logging.WARNING):
        assert cache.fetch("exports", FACTS, write) == entry
    assert "damaged and will be made again" in caplog.text
    assert (entry / "sub" / "x").read_text() == "1" * 100
    cache._checked.clear()
    assert cache.find("exports", FACTS) == entry
    assert not list(entry.parent.glob(".*"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["large", "sub/x"]), st.integers(0), st.integers(1, 255))
def test_any_other_byte_is_noticed(name: str, place: int, change: int) -> None:
    cache._checked.clear()
    entry = cache.fetch("exports", FACTS, write)
    cache._checked.clear()
    content = bytearray((entry / name).read_bytes())
    content[place % len(content)] ^= change
    (entry / name).write_bytes(content)
    assert cache.find("exports", FACTS) is None


def test_a_change_after_the_first_use_is_noticed() -> None:
    entry = cache.fetch("exports", FACTS, write)
    (entry / "sub" / "x").write_text("2" * 100)
    assert cache.find("exports", FACTS) is None


def mine(root: Path) -> list[Path]:
    """What a user may have in the folder that EDGEPACK_CACHE names."""
    files = [
        root / "thesis.txt",
        root / "exports" / "notes.txt",
        root / "exports" / ("ab" * 16) / "x",
        root / "exports" / ".new-abcdefgh" / "x",
        root / "projects" / ("cd" * 16) / "edgepack.json",
        root / "projects" / "deep" / "facts.json",
    ]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")
    return files


def test_clear_takes_only_what_is_ours_and_says_how_much(model: Path) -> None:
    def make(folder: Path) -> None:
        write(folder)
        (folder / "linked").symlink_to(model)

    entry = cache.fetch("exports", FACTS, make)
    kept = [*mine(cache.root()), entry / "put here by me"]
    kept[-1].touch()
    (cache.root() / "exports" / ("ef" * 16)).symlink_to(model.parent, target_is_directory=True)
    expected = 100 + 256 * 80_000 + (entry / "facts.json").stat().st_size
    assert cache.clear() == expected
    assert all(file.is_file() for file in kept)
    assert model.read_bytes() == b"weights"
    assert not (entry / "large").exists()
    assert cache.clear() == 0


def whole_manifest() -> str:
    listed = {"model.onnx": {"bytes": 0, "sha256": "0" * 64}}
    return json.dumps(attacks.small_manifest("bundle", listed))


def test_clear_leaves_what_does_not_say_that_it_is_ours(caplog: pytest.LogCaptureFixture) -> None:
    """Names of an entry's form, a record that was cut, a record of another folder, an unpacked bundle with a file of
    mine, one without a manifest that can be read.
    """
    entry = cache.fetch("exports", FACTS, write)
    stolen = cache.root() / "mydata" / ("0123456789abcdef" * 2)
    shutil.copytree(entry, stolen)
    unpacked = cache.root() / "bundles" / ("ab" * 16)
    texts = {
        stolen / "thesis.txt": "mine",
        cache.root() / "mydata" / ("cd" * 16) / "facts.json": "{}",
        unpacked / "mine.txt": "mine",
        cache.root() / "bundles" / ("ef" * 16) / "edgepack.json": "{}",
        cache.root() / "bundles" / ("ef" * 16) / "mine.txt": "mine",
        cache.root() / "exports" / ("01" * 16) / "facts.json": json.dumps({"facts": {}, "files": {"../../mine": []}}),
        cache.root() / "mine": "mine",
    }
    for file, text in texts.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (unpacked / "edgepack.json").write_text(whole_manifest())
    (unpacked / "model.onnx").touch()
    with caplog.at_level(logging.WARNING):
        cache.clear()
    assert all(file.read_text() == text for file, text in texts.items())
    assert (stolen / "large").exists()
    assert not entry.exists()
    assert os.listdir(unpacked) == ["mine.txt"]
    assert caplog.text.count("left in the cache") == 4


def test_clear_of_an_entry_with_a_cut_record(caplog: pytest.LogCaptureFixture) -> None:
    entry = cache.fetch("exports", FACTS, write)
    os.truncate(entry / "facts.json", 20)
    (entry / "note.txt").write_text("mine")
    assert cache.clear() == 0
    assert (entry / "note.txt").read_text() == "mine"
    assert str(entry) in caplog.text
    cache.fetch("exports", FACTS, write)
    assert [path.read_text() for path in entry.parent.glob(f"{entry.name}.kept-1/*")] == ["mine"]
    assert cache.find("exports", FACTS) == entry


@pytest.mark.parametrize("put", ["a file", "a link"])
def test_what_has_the_name_of_an_entry_is_kept(put: str, tmp_path: Path) -> None:
    entry = cache.root() / "exports" / cache.key_of(FACTS)
    entry.parent.mkdir(parents=True)
    (tmp_path / "theirs").write_text("mine")
    entry.write_text("mine") if put == "a file" else entry.symlink_to(tmp_path / "theirs")
    cache.fetch("exports", FACTS, write)
    assert (entry / "large").is_file()
    assert entry.with_name(f"{entry.name}.kept-1").read_text() == "mine"


def test_clear_follows_no_link() -> None:
    entry = cache.fetch("exports", FACTS, write)
    real = cache.root().parent / "real"
    entry.parent.rename(real)
    (cache.root() / "exports").symlink_to(real, target_is_directory=True)
    assert cache.clear() == 0
    assert (real / entry.name / "large").is_file()


def test_clear_follows_no_link_that_is_swapped_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = cache.fetch("exports", FACTS, write)
    victim = tmp_path / "victim"
    shutil.copytree(entry, victim)
    first = cachefolder.Folder.unlink

    def unlink(self: cachefolder.Folder, name: str) -> None:
        first(self, name)
        if not entry.is_symlink():
            entry.rename(tmp_path / "away")
            entry.symlink_to(victim, target_is_directory=True)

    monkeypatch.setattr(cachefolder.Folder, "unlink", unlink)
    cache.clear()
    assert tree(victim) == {"facts.json", "large", "sub/x"}
    assert tree(tmp_path / "away") == set()


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["a file", "a loop"])
def test_a_cache_that_is_no_folder(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "cache"
    place.touch() if kind == "a file" else place.symlink_to(place)
    for use in (cache.entries, cache.clear, lambda: cache.fetch("exports", FACTS, write)):
        with pytest.raises(FileTrouble, match="is not a folder") as error:
            use()
        assert "EDGEPACK_CACHE" in error.value.hint


def test_clear_says_what_could_not_be_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        cache.fetch("exports", {"n": number}, write)
    first = cachefolder.Folder.unlink

    def unlink(self: cachefolder.Folder, name: str) -> None:
        if name == "large":
            raise PermissionError(errno.EACCES, "Permission denied")
        first(self, name)

    monkeypatch.setattr(cachefolder.Folder, "unlink", unlink)
    with pytest.raises(FileTrouble, match=r"exports.*: Permission denied \(2 more") as error:
        cache.clear()
    assert "EDGEPACK_CACHE" in error.value.hint
    assert {file.name for file in cache.root().rglob("*") if file.is_file()} == {"large"}


def test_clear_of_nothing(tmp_path: Path) -> None:
    assert cache.clear() == 0
    assert not cache.root().exists()


DYING = """
import os
from edgepack import cache
def make(folder):
    (folder / "half").write_text("1" * 1000)
    os._exit(9)
cache.fetch("exports", {"model": "a model", "n": 1}, make)
"""


def test_what_a_killed_build_left() -> None:
    def die() -> None:
        assert subprocess.run([sys.executable, "-c", DYING], check=False).returncode == 9

    die()
    (left,) = cache.entries()
    assert left.bytes == 1000
    assert "stopped" in left.what
    cache.fetch("exports", {"n": 2}, write)  # sweeps
    assert [entry.what for entry in cache.entries()] == [""]
    die()
    cache.clear()
    assert not (cache.root() / "exports").exists()


def test_clear_while_others_build() -> None:
    def make(folder: Path) -> None:
        write(folder)
        cache.clear()

    assert (cache.fetch("exports", FACTS, make) / "sub" / "x").is_file()
