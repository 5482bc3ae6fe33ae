"""What stays outside of a bundle and of its archive, and archives that are damaged, huge or contradict themselves."""

from __future__ import annotations

import json
import shutil
import struct
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import edgepack
from edgepack.errors import BundleDamaged, BundleError, BundleUnsafe, UsageError
from edgepack.records import Bundle
from edgepack.runtime import archive, manifest


def relist(folder: Path) -> None:
    """Hashes of what is there: what somebody who changes a bundle would write too."""
    file = folder / "edgepack.json"
    table = json.loads(file.read_text("utf-8"))
    for name in table["files"]:
        raw = (folder / name).read_bytes()
        table["files"][name] = {"sha256": sha256(raw).hexdigest(), "bytes": len(raw)}
    file.write_text(json.dumps(table), "utf-8")


UNLISTED = ["chat_template.jinja", "model_last.onnx"]


@pytest.mark.parametrize("name", UNLISTED)
def test_what_the_manifest_does_not_list_is_not_used(copied: Path, name: str) -> None:
    (copied / name).symlink_to("/etc/passwd")
    with pytest.raises(BundleUnsafe, match="does not list"):
        edgepack.load(copied)


@pytest.mark.parametrize("name", ["edgepack.json", "measurements.json"])
def test_links_in_the_place_of_what_nothing_lists(copied: Path, name: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    (copied / name).rename(secret)
    (copied / name).symlink_to(secret)
    with pytest.raises(BundleUnsafe, match="link out"):
        archive.zip_folder(copied, tmp_path / "m.edgepack")
    assert not (tmp_path / "m.edgepack").exists()


def test_golden_vectors_outside(copied: Path) -> None:
    file = copied / "edgepack.json"
    for wrong in ("../golden.safetensors", "/dev/zero", "config.json\0"):
        table = json.loads(file.read_text("utf-8"))
        table["models"]["model"]["golden"]["file"] = wrong
        file.write_text(json.dumps(table), "utf-8")
        with pytest.raises(BundleUnsafe):
            manifest.read(copied)


def test_an_archive_holds_what_is_listed(copied: Path, tmp_path: Path) -> None:
    (copied / "private.txt").write_text("secret")
    file = archive.zip_folder(copied, tmp_path / "m.edgepack")
    assert "private.txt" not in zipfile.ZipFile(file).namelist()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "m.edgepack"]  # nothing beside it
    with pytest.raises(UsageError):
        archive.zip_folder(copied, copied / "m.edgepack")
    assert edgepack.load(file).embed("x").shape == (384,)


def test_a_damaged_unpacked_copy_is_made_again(copied: Path, tmp_path: Path) -> None:
    file = archive.zip_folder(copied, tmp_path / "m.edgepack")
    folder = archive.opened(file)
    for spoil in (lambda: (folder / "model.onnx").write_bytes(b""), lambda: (folder / "LICENSE").unlink(),
                  lambda: (folder / "edgepack.json").write_text("{")):  # fmt: skip
        spoil()
        assert archive.opened(file) == folder
        manifest.verify(manifest.read(folder))
    assert edgepack.load(file).embed("x").shape == (384,)


def test_an_archive_of_gigabytes_of_zeros(copied: Path, tmp_path: Path) -> None:
    table = json.loads((copied / "edgepack.json").read_text("utf-8"))
    table["files"]["vocab.txt"]["bytes"] = 1 << 40
    (copied / "edgepack.json").write_text(json.dumps(table), "utf-8")
    bomb = tmp_path / "bomb.edgepack"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as made:
        for name in (*table["files"], "edgepack.json"):
            made.write(copied / name, name)
    with pytest.raises(BundleUnsafe, match="would unpack to"):
        archive.unpack(bomb, tmp_path / "out")
    with pytest.raises(BundleDamaged):  # not even with trust: it is not what the manifest says
        archive.unpack(bomb, tmp_path / "out", trust=True)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["\0bc", "\0\0\0", "a\0b"])
def test_names_with_nul(name: str, tmp_path: Path) -> None:
    file = tmp_path / "nul.edgepack"
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("Qbc", "x")
    file.write_bytes(file.read_bytes().replace(b"Qbc", name.encode()))
    with pytest.raises(BundleError):
        edgepack.load(file)


def test_a_directory_of_a_million_files_is_not_read(tmp_path: Path) -> None:
    size = 1 << 30
    for end in (
        struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 9, 9, size, 0, 0),
        struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1 << 20, 1 << 20, size, 0)
        + struct.pack("<4sIQI", b"PK\6\7", 0, 0, 1)
        + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 9, 9, 0, 0, 0),
    ):
        (tmp_path / "x.edgepack").write_bytes(end)
        with pytest.raises(BundleUnsafe, match="more than"):
            archive.unpack(tmp_path / "x.edgepack", tmp_path / "out")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draws=st.data())
def test_any_archive_opens_or_is_refused(draws: st.DataObject, small: Path, tmp_path: Path) -> None:
    raw = bytearray(small.read_bytes())
    for _ in range(draws.draw(st.integers(1, 5))):
        raw[draws.draw(st.integers(0, len(raw) - 1))] = draws.draw(st.integers(0, 255))
    bad, out = tmp_path / "bad.edgepack", tmp_path / "out"
    shutil.rmtree(out, ignore_errors=True)
    bad.write_bytes(raw[: draws.draw(st.integers(len(raw) // 2, len(raw)))])
    try:
        archive.unpack(bad, out)
    except BundleError:
        assert not [path for path in out.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def small(minilm: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive whose files are a few bytes each."""
    folder = tmp_path_factory.mktemp("small") / "bundle"
    folder.mkdir()
    table = json.loads((minilm.path / "edgepack.json").read_text("utf-8"))
    for name in table["files"]:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(name.encode() * 3)
    (folder / "edgepack.json").write_text(json.dumps(table), "utf-8")
    relist(folder)
    return archive.zip_folder(folder, folder.parent / "small.edgepack")
