"""Names that lead out of a folder, and what lies at a name that does not."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack import containment
from edgepack.containment import Holder, check_distinct, checked_name, contained, copy_file, open_file
from edgepack.errors import BundleFileMissing, BundleUnsafe
from edgepack.folder import DESCRIPTORS

NAMES = ["", ".", "..", "../x", "a/../../x", "a/..", "/etc/passwd", "//x", "a//b", "a/", "./a", "a\\b", "C:x", "c:/x",
         "a\0b", "a\nb", "a\x1bb", None, 7, True, ["a"], "x/."]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_that_lead_out(name: object, tmp_path: Path) -> None:
    with pytest.raises(BundleUnsafe):
        contained(tmp_path, name)


@given(st.text(st.sampled_from("./\\ab~:\0-"), max_size=12))
def test_a_name_that_is_taken_stays_inside(name: str) -> None:
    try:
        checked_name(name, "a test")
    except BundleUnsafe:
        return
    path = os.path.normpath(os.path.join("/some/folder", name))
    assert path.startswith("/some/folder/")
    assert os.path.relpath(path, "/some/folder") == name


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        os.chdir(path.parent)
        made.bind(path.name)


PLACES: dict[str, Callable[[Path], object]] = {
    "link out": lambda p: p.symlink_to("/etc/hostname"),
    "link out to nothing": lambda p: p.symlink_to("../nothing"),
    "link to itself": lambda p: p.symlink_to(p),
    "fifo": os.mkfifo,
    "folder": lambda p: p.mkdir(),
    "socket": _socket,
    "device": lambda p: p.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("name", PLACES)
def test_what_is_no_file_of_the_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    PLACES[name](tmp_path / "x")
    for look in (contained, open_file):
        with pytest.raises((BundleUnsafe, BundleFileMissing)):
            look(tmp_path, "x")


def read(folder: Path, name: str, within: Sequence[Path] = ()) -> str:
    with open(open_file(folder, name, Holder(within=within))) as stream:
        return stream.read()


def link_out(file: Path) -> None:
    file.symlink_to("/etc/hostname")


def folder_linked_out(file: Path) -> None:
    file.parent.rename(file.parent.with_name("away"))
    file.parent.symlink_to("/etc", target_is_directory=True)


SWAPS: dict[str, Callable[[Path], object]] = {
    "a link": link_out,
    "a link at its folder": folder_linked_out,
    "a FIFO": os.mkfifo,
    "nothing": lambda file: None,
}


@pytest.mark.skipif(not DESCRIPTORS, reason="the system has no descriptors of folders")
@pytest.mark.parametrize("moment", ["contained", "_way"])
@pytest.mark.parametrize("swap", SWAPS)
def test_what_is_swapped_in_after_the_check_is_not_opened(
    swap: str, moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a" / "hostname"
    file.parent.mkdir()
    file.write_text("ours")
    check = getattr(containment, moment)

    def late(*arguments: Any, **options: Any) -> Any:
        found = check(*arguments, **options)
        file.unlink()
        SWAPS[swap](file)
        return found

    monkeypatch.setattr(containment, moment, late)
    with pytest.raises((BundleUnsafe, BundleFileMissing)):
        open_file(tmp_path, "a/hostname")


def test_a_folder_that_is_a_link_itself(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x").write_text("x")
    (tmp_path / "bundle").symlink_to("real")
    assert read(tmp_path / "bundle", "x") == "x"


def test_links_inside_and_into_named_places(tmp_path: Path) -> None:
    folder, store = tmp_path / "folder", tmp_path / "store"
    for place in (folder, folder / "a", store):
        place.mkdir()
    (folder / "a" / "file").write_text("x")
    (folder / "link").symlink_to("a/file")
    (folder / "b").symlink_to("a")
    assert contained(folder, "link").read_text() == contained(folder, "b/file").read_text() == "x"
    (store / "hash").write_text("y")
    (folder / "kept").symlink_to("../store/hash")
    with pytest.raises(BundleUnsafe, match="link out"):
        contained(folder, "kept")
    assert contained(folder, "kept", Holder(within=[store])).read_text() == read(folder, "kept", [store]) == "y"
    assert read(folder, "link") == read(folder, "b/file") == "x"
    copy_file(folder, "kept", tmp_path / "new" / "copy", Holder(within=[store]))
    assert (tmp_path / "new" / "copy").read_text() == "y"
    (folder / "away").symlink_to(store)
    with pytest.raises(BundleUnsafe, match="link out"):
        contained(folder, "away/hash")
    with pytest.raises(BundleFileMissing):
        contained(folder, "none")


def test_two_names_of_one_file() -> None:
    check_distinct(["a", "b", "A b"], "a test")
    for one, other in (("a", "A"), ("é", "e\u0301"), ("straße", "STRASSE")):
        with pytest.raises(BundleUnsafe, match="one file"):
            check_distinct([one, other], "a test")
