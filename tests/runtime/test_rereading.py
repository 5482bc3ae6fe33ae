"""A reader that is overtaken by a build reads again."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgepack.errors import BundleDamaged
from edgepack.exchange import exchange
from edgepack.runtime.rereading import steady


def replace(folder: Path) -> None:
    other = folder.with_name("other")
    other.mkdir(exist_ok=True)
    if not exchange(folder, other):
        pytest.skip("the file system cannot exchange two folders")


@pytest.mark.parametrize("breaks", [True, False])
def test_it_reads_again(breaks: bool, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    reads: list[int] = []

    def read() -> str:
        reads.append(1)
        if len(reads) == 1:
            replace(folder)
            if breaks:
                raise BundleDamaged("half of this, half of that")
        return "read"

    assert steady(folder, read) == "read"
    assert len(reads) == 2


def test_damage_is_told(tmp_path: Path) -> None:
    def read() -> str:
        raise BundleDamaged("a byte")

    with pytest.raises(BundleDamaged):
        steady(tmp_path, read)
    with pytest.raises(BundleDamaged):
        steady(tmp_path / "not there", read)
