"""A bundle is whole or it is not there, and what is a user's is never replaced unasked."""

from __future__ import annotations

import errno
import hashlib
import importlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack import exchange, outfolder, workfolder
from edgepack.errors import DiskFull, FileTrouble, Interrupted

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
attacks: Any = importlib.import_module("attacks_files")
MARK = "<p>ours</p>"


def fill(folder: Path, text: str, name: str = "bundle") -> None:
    """A bundle as small as the manifest's reader allows."""
    (folder / "model.onnx").write_text(text)
    listed = {"model.onnx": {"bytes": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}}
    (folder / "edgepack.json").write_text(json.dumps(attacks.small_manifest(name, listed)))


def make(out: Path, text: str, *, name: str = "bundle", force: bool = False) -> None:
    with outfolder.workspace(out, name, force=force) as folder:
        fill(folder, text, name)


def content(out: Path, name: str = "bundle") -> str:
    return (out / name / "model.onnx").read_text()


def only(out: Path, *names: str) -> bool:
    return sorted(path.name for path in out.iterdir()) == sorted(names)


@pytest.fixture(params=["in one step", "by two renames", "by plain renames"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All ways of replacing: file systems without an exchange take the others."""
    if request.param == "by two renames":
        monkeypatch.setattr(exchange, "exchange", lambda one, other: False)
    if request.param == "by plain renames":
        monkeypatch.setattr(exchange, "_call", lambda *_: errno.ENOSYS)


def test_the_folder_appears_at_the_end(tmp_path: Path) -> None:
    with outfolder.workspace(tmp_path, "bundle") as folder:
        fill(folder, "new")
        assert not (tmp_path / "bundle").exists()
    assert only(tmp_path, "bundle")


def fail_in(folder: Path) -> None:
    fill(folder, "new")
    raise RuntimeError("broken")


def test_an_error_leaves_the_earlier_bundle(tmp_path: Path) -> None:
    make(tmp_path, "old")
    with pytest.raises(RuntimeError, match="broken"), outfolder.workspace(tmp_path, "bundle") as folder:
        fail_in(folder)
    assert content(tmp_path) == "old"
    assert only(tmp_path, "bundle")


@pytest.mark.usefixtures("_way")
def test_an_error_leaves_no_folder_that_was_made_for_the_bundle(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for out in (tmp_path / "dist" / "short", tmp_path / "mine", tmp_path / "mine" / "dist"):
        with pytest.raises(Interrupted), outfolder.workspace(out, "bundle"):
            raise Interrupted("stopped")
    assert only(tmp_path, "mine")
    assert only(tmp_path / "mine")


def test_a_build_goes_on_where_another_that_failed_deleted_its_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = outfolder.clear_leftovers

    def deleted(out: Path, name: str = "") -> None:
        looked(out, name)
        out.rmdir()  # as the other does at this moment

    monkeypatch.setattr(outfolder, "clear_leftovers", deleted)
    make(tmp_path / "dist", "new")
    assert content(tmp_path / "dist") == "new"


def test_a_second_build_replaces_it(tmp_path: Path) -> None:
    for text in ("old", "new"):
        make(tmp_path, text)
    assert content(tmp_path) == "new"
    assert only(tmp_path, "bundle")
    assert stat.S_IMODE((tmp_path / "bundle").stat().st_mode) & 0o500 == 0o500


def test_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(DiskFull) as error, outfolder.workspace(tmp_path, "bundle"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "--out" in error.value.hint
    assert list(tmp_path.iterdir()) == []


def folder_of_the_user(place: Path) -> None:
    place.mkdir()
    (place / "thesis.txt").write_text("years of work")


def another_bundle(place: Path) -> None:
    place.mkdir()
    fill(place, "theirs", name="other")


def bundle_with_notes(place: Path) -> None:
    place.mkdir()
    fill(place, "old")
    (place / "notes").mkdir()
    (place / "notes" / "mine.txt").write_text("years of work")


def bundle_with_a_link(place: Path) -> None:
    place.mkdir()
    fill(place, "old")
    (place / "data").symlink_to(place.parent, target_is_directory=True)


def signature_of_the_user(place: Path) -> None:
    place.mkdir()
    fill(place, "old")
    (place / "model.sig").write_text("notes on application/vnd.dev.sigstore.bundle.v0.3+json")


def measurements_of_the_user(place: Path) -> None:
    place.mkdir()
    fill(place, "old")
    (place / "measurements.json").write_text('{"rain": [3, 4]}')


def link_to_a_bundle(place: Path) -> None:
    there = place.with_name("elsewhere")
    there.mkdir()
    fill(there, "old")
    place.symlink_to(there, target_is_directory=True)


def other_json(text: str) -> Callable[[Path], None]:
    def put(place: Path) -> None:
        place.mkdir()
        (place / "edgepack.json").write_text(text)

    put.__name__ = f"edgepack.json {text[:12]}"
    return put


def manifest_is_a_fifo(place: Path) -> None:
    place.mkdir()
    os.mkfifo(place / "edgepack.json")


FOREIGN = [
    folder_of_the_user,
    another_bundle,
    bundle_with_notes,
    bundle_with_a_link,
    link_to_a_bundle,
    manifest_is_a_fifo,
    signature_of_the_user,
    measurements_of_the_user,
    Path.mkdir,
    Path.touch,
    lambda place: place.symlink_to("nowhere"),
    *map(other_json, ("", "[" * 100_000, "[]", "{}", '{"name": "bundle"}', '{"schema": 1, "edgepack": ""')),
]


@pytest.mark.parametrize("put", FOREIGN)
@pytest.mark.usefixtures("_way")
def test_what_is_not_ours_stays(put: Callable[[Path], None], tmp_path: Path) -> None:
    put(tmp_path / "bundle")
    before = {path: path.lstat() for path in tmp_path.rglob("*")}
    with pytest.raises(FileTrouble, match="would be replaced") as error:
        make(tmp_path, "new")
    assert "--force" in error.value.hint
    after = {path: path.lstat() for path in tmp_path.rglob("*")}
    assert {path: (s.st_ino, s.st_size) for path, s in after.items()} == {
        path: (s.st_ino, s.st_size) for path, s in before.items()
    }
    make(tmp_path, "new", force=True)
    assert content(tmp_path) == "new"
    assert not list(tmp_path.glob(".*"))


def tree(place: Path) -> dict[str, bytes]:
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def socket_at(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(place))


def link_to_a_fifo(place: Path) -> None:
    os.mkfifo(place.with_name("pipe"))
    place.symlink_to("pipe")


def write_archive(place: Path, *, force: bool) -> None:
    with outfolder.replacing(place, partial(outfolder.check_archive, force=force)) as fresh:
        fresh.touch()


def write_signature(place: Path, *, force: bool) -> None:
    with outfolder.replacing(place, partial(outfolder.check_signature, force=force)) as fresh:
        fresh.touch()


@pytest.mark.parametrize("put", [os.mkfifo, socket_at, link_to_a_fifo])
@pytest.mark.parametrize("force", [False, True])
@pytest.mark.usefixtures("_way")
def test_no_device_is_replaced(put: Callable[[Path], None], force: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:  # a socket's path is short
        place = Path(folder) / "x"
        put(place)
        monkeypatch.chdir(folder)
        before = place.lstat()
        for write in (
            lambda: make(place.parent, "new", name="x", force=force),
            lambda: outfolder.write(place, MARK, mark=MARK, force=force),
            lambda: write_archive(place, force=force),
            lambda: write_signature(place, force=force),
        ):
            with pytest.raises(FileTrouble, match="a device, a FIFO or a socket"):
                write()
        assert place.lstat() == before
        assert not list(place.parent.glob(".*"))


NAMES = st.sampled_from(["model.onnx", "edgepack.json", "measurements.json", "notes.txt", "a/b", "a/edgepack.json"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["bundle", "", "../bundle"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["schema", "edgepack", "name", "files", "model.onnx", "a/b"]), inner, max_size=6
        )
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(files=st.dictionaries(NAMES, st.binary(max_size=9), max_size=5), table=JSON, fits=st.booleans())
def test_no_file_of_a_user_is_ever_gone(files: dict[str, bytes], table: object, fits: bool) -> None:
    """Whatever lies there: it stays, or a manifest in edgepack's form, with the bundle's name, lists every file."""
    if fits and isinstance(table, dict):
        table = {"schema": 1, "edgepack": "0", "files": {}, **table, "name": "bundle"}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        place = out / "bundle"
        place.mkdir()
        for name, content_ in {**files, "edgepack.json": json.dumps(table).encode()}.items():
            (place / name).parent.mkdir(exist_ok=True)
            (place / name).write_bytes(content_)
        before = tree(place)
        try:
            make(out, "new")
        except FileTrouble:
            assert tree(place) == before
        else:
            assert isinstance(table, dict)
            assert table["name"] == "bundle"
            assert set(before) <= {*table["files"], "edgepack.json"}  # the measurements here are a user's
        assert not list(out.glob(".*"))


def test_what_a_link_led_to_stays_by_force_too(tmp_path: Path) -> None:
    link_to_a_bundle(tmp_path / "bundle")
    make(tmp_path, "new", force=True)
    assert content(tmp_path, "elsewhere") == "old"


def test_what_comes_during_the_build_stays(tmp_path: Path) -> None:
    def build() -> None:
        with outfolder.workspace(tmp_path, "bundle") as folder:
            fill(folder, "new")
            folder_of_the_user(tmp_path / "bundle")

    with pytest.raises(FileTrouble):
        build()
    assert (tmp_path / "bundle" / "thesis.txt").read_text() == "years of work"


def test_a_damaged_bundle_is_replaced(tmp_path: Path) -> None:
    make(tmp_path, "old")
    (tmp_path / "bundle" / "model.onnx").unlink()
    (tmp_path / "bundle" / ".DS_Store").touch()
    make(tmp_path, "new")
    assert content(tmp_path) == "new"


def thesis_in(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "thesis.txt").write_text("years of work")


def page_at(file: Path) -> None:
    file.write_text("years of work")


def at_the_last_moment(monkeypatch: pytest.MonkeyPatch, put: Callable[[], None], moment: str) -> None:
    """``put()`` comes between a look and the rename that follows it."""
    name = {"move": "move", "exchange": "exchange", "rename": "_renamed_twice"}[moment]
    before = getattr(exchange, name)

    def late(*arguments: Any) -> Any:
        monkeypatch.setattr(exchange, name, before)
        put()
        return before(*arguments)

    monkeypatch.setattr(exchange, name, late)


@pytest.mark.parametrize("moment", ["move", "exchange", "rename"])
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.usefixtures("_way")
def test_what_comes_between_the_last_look_and_the_rename_stays(
    there: bool, moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "bundle"
    if there or moment != "move":
        make(tmp_path, "old")
    if moment == "exchange" and exchange.exchange(tmp_path, tmp_path) is False:
        pytest.skip("nothing is exchanged this way")
    if moment == "rename":
        monkeypatch.setattr(exchange, "exchange", lambda one, other: False)
    at_the_last_moment(monkeypatch, lambda: thesis_in(place), moment)
    before = content(tmp_path) if place.exists() else None
    with pytest.raises(FileTrouble, match=r"bundle (is a folder without|holds 'thesis.txt')") as error:
        make(tmp_path, "new")
    assert ".building" not in str(error.value)
    assert (place / "thesis.txt").read_text() == "years of work"
    assert before is None or content(tmp_path) == before
    assert only(tmp_path, "bundle")


@pytest.mark.parametrize("moment", ["move", "exchange", "rename"])
@pytest.mark.usefixtures("_way")
def test_a_file_that_comes_then_stays(moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "bundle.html"
    if moment != "move":
        outfolder.write(file, f"{MARK} 1", mark=MARK)
    if moment == "exchange" and exchange.exchange(tmp_path, tmp_path) is False:
        pytest.skip("nothing is exchanged this way")
    if moment == "rename":
        monkeypatch.setattr(exchange, "exchange", lambda one, other: False)
    at_the_last_moment(monkeypatch, lambda: page_at(file), moment)
    with pytest.raises(FileTrouble, match=r"bundle.html is not edgepack's"):
        outfolder.write(file, f"{MARK} 2", mark=MARK)
    assert file.read_text() == "years of work"
    assert only(tmp_path, "bundle.html")


@pytest.mark.skipif(sys.platform != "linux", reason="a file system elsewhere may not exchange two folders")
def test_what_takes_the_place_while_another_goes_back_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "bundle.html"
    outfolder.write(file, f"{MARK} 1", mark=MARK)
    seen = list[Path]()

    def check(path: Path) -> None:
        seen.append(path)
        if len(seen) == 3:  # what came out
            file.unlink()
            file.write_text("mine too")
        if len(seen) >= 3:
            raise FileTrouble(f"{path} has to stay")

    def write() -> None:
        with outfolder.replacing(file, check) as fresh:
            fresh.write_text("new")

    with pytest.raises(FileTrouble, match=r"bundle.html has to stay"):
        write()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "bundle.html": f"{MARK} 1",
        "bundle.html.kept-1": "mine too",
    }


def dead(out: Path) -> Path:
    """A folder as a killed build leaves it, or as somebody who knows the form makes it."""
    work = out / ".building-abcdefgh"
    work.mkdir(parents=True)
    (work / "edgepack.lock").touch()
    return work


def test_an_earlier_bundle_comes_back_through_no_link(tmp_path: Path) -> None:
    out, theirs = tmp_path / "out", tmp_path / "theirs"
    make(theirs, "theirs", name="precious")
    (dead(out) / "old").symlink_to(theirs, target_is_directory=True)
    make(out, "new")
    assert only(out, "bundle")
    assert content(theirs, "precious") == "theirs"


@pytest.mark.parametrize("what", ["work", "inside"])
def test_sweeping_follows_no_link_that_is_swapped_in(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, victim = tmp_path / "out", tmp_path / "victim"
    work = dead(out)
    for place in (work / "d1", work / "d2", victim, victim / "d1", victim / "d2"):
        place.mkdir(exist_ok=True)
        (place / "file").write_text("years of work")
    swapped = work if what == "work" else work / "d2"
    first = workfolder.Folder.remove

    def remove(self: workfolder.Folder, name: str) -> None:
        first(self, name)
        if swapped.is_dir() and not swapped.is_symlink():
            swapped.rename(tmp_path / "away")
            swapped.symlink_to(victim, target_is_directory=True)

    monkeypatch.setattr(workfolder.Folder, "remove", remove)
    make(out, "new")
    assert len(list(victim.rglob("file"))) == 3
    assert not (tmp_path / "away" / "d1").exists() or what == "inside"


def test_what_a_kill_left_in_a_bundle_is_swept(tmp_path: Path) -> None:
    make(tmp_path, "old")
    dead(tmp_path / "bundle" / "x").rename(tmp_path / "bundle" / ".building-abcdefgh")
    (tmp_path / "bundle" / "x").rmdir()
    make(tmp_path, "new")
    assert content(tmp_path) == "new"


def test_a_file_comes_back_after_a_kill_between_two_renames(tmp_path: Path) -> None:
    (dead(tmp_path) / "old").mkdir()
    (tmp_path / ".building-abcdefgh" / "old" / "mine.html").write_text("a report")
    make(tmp_path, "new")
    assert (tmp_path / "mine.html").read_text() == "a report"


DYING = """
import os, sys, time
from pathlib import Path
from edgepack import exchange, outfolder
out, renames = Path(sys.argv[1]), sys.argv[2] == "renames"
sys.path.insert(0, sys.argv[3])
from test_outfolder import fill
if renames:
    exchange.exchange = lambda one, other: False
    moves = []
    exchange.move = lambda fresh, place: os._exit(9) if moves else moves.append(1)  # between the two renames
with outfolder.workspace(out, "bundle") as folder:
    fill(folder, "new")
    if not renames:
        os._exit(9)
"""


def die(out: Path, where: str) -> None:
    command = [sys.executable, "-c", DYING, str(out), where, str(Path(__file__).parent)]
    assert subprocess.run(command, check=False).returncode == 9


def test_what_a_killed_build_left_is_swept(tmp_path: Path) -> None:
    die(tmp_path, "filling")
    assert len(list(tmp_path.glob(".building-*"))) == 1
    with outfolder.workspace(tmp_path, "other") as alive:
        fill(alive, "other", "other")
        make(tmp_path, "new")  # sweeps, but for what lives
        assert alive.is_dir()
    assert only(tmp_path, "bundle", "other")


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="another PID namespace needs root")
def test_another_container_does_not_sweep_what_lives(tmp_path: Path) -> None:
    """No process of this one can be seen there."""
    code = (
        f"from pathlib import Path; from edgepack import outfolder; outfolder.clear_leftovers(Path({str(tmp_path)!r}))"
    )
    with outfolder.workspace(tmp_path, "bundle") as folder:
        fill(folder, "new")
        command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "unshare" in done.stderr:
            pytest.skip("no PID namespaces here")
        assert done.returncode == 0, done.stderr
    assert content(tmp_path) == "new"


def test_a_kill_between_two_renames_loses_nothing(tmp_path: Path) -> None:
    make(tmp_path, "old")
    die(tmp_path, "renames")
    assert not (tmp_path / "bundle").exists()
    make(tmp_path, "new", name="other")
    assert content(tmp_path) == "old"
    assert only(tmp_path, "bundle", "other")


@pytest.mark.parametrize("damage", ["half", "name"])
def test_only_a_whole_bundle_comes_back(damage: str, tmp_path: Path) -> None:
    make(tmp_path, "old")
    die(tmp_path, "renames")
    (old,) = tmp_path.glob(".building-*/old/bundle")
    if damage == "half":
        (old / "model.onnx").write_text("odl")
    else:
        fill(old, "old", name="../../bundle")
    make(tmp_path, "new", name="other")
    assert only(tmp_path, "other")
    assert not (tmp_path.parent / "bundle").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send itself these")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_folder_is_made_leaves_none(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(number: int, frame: object) -> None:
        raise Interrupted("stopped")

    def made_and_signalled(path: Path, mode: int = 0o777, **of_the_parent: bool) -> None:
        if not of_the_parent:
            os.mkdir(path, mode)
            os.kill(os.getpid(), number)

    before = signal.signal(number, stop)
    monkeypatch.setattr(Path, "mkdir", made_and_signalled)
    try:
        with pytest.raises(Interrupted), workfolder.workfolder(tmp_path, ".building-"):
            pytest.fail("the signal came before")
    finally:
        signal.signal(number, before)
    assert list(tmp_path.iterdir()) == []


def test_what_the_user_calls_so_is_not_swept(tmp_path: Path) -> None:
    folder_of_the_user(tmp_path / ".building-a1b2c3d4")
    (tmp_path / ".building-e5f6a7b8").symlink_to(tmp_path / ".building-a1b2c3d4", target_is_directory=True)
    make(tmp_path, "new")
    assert only(tmp_path, "bundle", ".building-a1b2c3d4", ".building-e5f6a7b8")


def test_readers_find_a_whole_bundle_at_every_moment(tmp_path: Path) -> None:
    make(tmp_path, "0" * 50)
    seen, wrong, stop = [0], list[str](), threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                folder = os.open(tmp_path / "bundle", os.O_RDONLY)
            except FileNotFoundError:
                wrong.append("missing")
                continue
            os.close(folder)
            seen[0] += 1

    reader = threading.Thread(target=read)
    reader.start()
    end = time.monotonic() + 1
    number = 0
    while time.monotonic() < end or seen[0] < 100:
        number += 1
        make(tmp_path, f"{number % 10}" * 50)
    stop.set()
    reader.join()
    assert wrong == []


def test_two_builds_of_one_name(tmp_path: Path) -> None:
    make(tmp_path, "first")
    barrier = threading.Barrier(4)

    def run(text: str) -> None:
        with outfolder.workspace(tmp_path, "bundle") as folder:
            fill(folder, text)
            barrier.wait(timeout=20)

    threads = [threading.Thread(target=run, args=(str(number) * 20,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(content(tmp_path))) == 1
    assert only(tmp_path, "bundle")


def test_a_report_is_written_in_place_of_ours_alone(tmp_path: Path) -> None:
    file = tmp_path / "bundle.html"
    outfolder.write(file, f"{MARK} 1", mark=MARK)
    outfolder.write(file, f"{MARK} 2", mark=MARK)
    assert file.read_text() == f"{MARK} 2"
    for put in (lambda: file.write_text("my page"), file.mkdir):
        file.unlink()
        put()
        with pytest.raises(FileTrouble, match="is not edgepack's"):
            outfolder.write(file, f"{MARK} 3", mark=MARK)
        outfolder.write(file, f"{MARK} 3", mark=MARK, force=True)
        assert file.read_text() == f"{MARK} 3"
    assert only(tmp_path, "bundle.html")


def zip_at(file: Path, **entries: str) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in entries.items():
            archive.writestr(name.replace("_", "."), text)
    return file


def test_a_zip_of_the_user_stays(tmp_path: Path) -> None:
    file = tmp_path / "x.edgepack"
    outfolder.check_archive(file)
    ours = json.dumps(attacks.small_manifest("bundle", {"model.onnx": {"bytes": 0, "sha256": "0" * 64}}))
    for theirs in (
        {"photos_txt": ""},
        {"edgepack_json": "{}"},
        {"edgepack_json": "{}", "thesis_txt": ""},
        {"edgepack_json": ours, "thesis_txt": ""},
        {"edgepack_json": ours, "model_sig": "my notes"},
        {"edgepack_json": ours, "measurements_json": "[]"},
        {"edgepack_json": "[" * 100_000},
    ):
        zip_at(file, **theirs)
        with pytest.raises(FileTrouble, match=r"is not a bundle|not the bundle's"):
            outfolder.check_archive(file)
        outfolder.check_archive(file, force=True)
    outfolder.check_archive(zip_at(file, edgepack_json=ours, model_onnx=""))
    file.write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(FileTrouble):
        outfolder.check_archive(file)
