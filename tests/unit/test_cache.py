"""The build cache: whole entries or none, also with two builders at once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from edgepack import cache


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEPACK_CACHE", str(tmp_path / "cache"))


def test_an_entry_is_made_once() -> None:
    calls: list[Path] = []

    def make(folder: Path) -> None:
        calls.append(folder)
        (folder / "x").write_text("1")

    first, second = cache.fetch("exports", {"a": 1}, make), cache.fetch("exports", {"a": 1}, make)
    assert first == second
    assert len(calls) == 1
    assert cache.fetch("exports", {"a": 2}, make) != first
    assert len(cache.entries()) == 2
    assert cache.clear() > 0
    assert cache.entries() == []


def test_a_failure_leaves_nothing() -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("1")
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        cache.fetch("exports", {"a": 1}, fail)
    assert list((cache.root() / "exports").iterdir()) == []


def test_two_builders_of_one_entry() -> None:
    both = threading.Barrier(2)
    found: list[str] = []

    def make(folder: Path) -> None:
        (folder / "x").write_text("same")
        both.wait(timeout=20)  # both are inside before either has finished

    def run() -> None:
        found.append((cache.fetch("exports", {"a": 1}, make) / "x").read_text())

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["same", "same"]
    assert len(list((cache.root() / "exports").iterdir())) == 1
