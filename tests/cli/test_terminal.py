"""What the command line makes of hostile names, closed streams, narrow terminals and mistakes of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack import records, reports, suites
from edgepack.cli import unexpected
from edgepack.printable import printable
from edgepack.records import Bundle
from edgepack.reports import junit

Run = Callable[..., subprocess.CompletedProcess[str]]
ESCAPES = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202egnp.exe\u2066\x00\x7f\ud800"
PLAIN = "plain: é 寿司 🙂 \U0001f469\u200d\U0001f4bb\tand\nlines"


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_shown(text: str) -> None:
    shown = printable(text + ESCAPES)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", shown)
    shown.encode("utf-8")
    assert printable(PLAIN) == PLAIN


def test_errors_of_hostile_names_are_one_line_without_escapes(edgepack: Run, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path / "a\x1b[31m\nb") + b"\xff"
    command = [Path(sys.executable).parent / "edgepack", "inspect", name]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 30
    assert b"\x1b" not in done.stderr
    assert len(done.stderr.splitlines()) == 2  # the error and its hint


def hostile(folder: Path) -> None:
    file = folder / "edgepack.json"
    table = json.loads(file.read_text("utf-8"))
    table["source"]["model"] = "\x1b[31mm<script>alert(1)</script>\u202e"
    table["source"]["licence"] = "\x9b2J"
    table["models"]["model"]["operators"]["\x1b]0;x\x07"] = 1
    file.write_text(json.dumps(table), "utf-8")


def test_a_place_with_an_end_of_line_is_shown_on_one(
    edgepack: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEPACK_CACHE", str(tmp_path / "a\nb"))
    assert edgepack("cache").stdout.splitlines() == [f"{tmp_path}/a\\nb: 0 B"]


def test_names_in_a_bundle_are_shown_escaped(copied: Path, edgepack: Run) -> None:
    hostile(copied)
    for options in ((), ("--json",)):
        done = edgepack("inspect", copied, *options)
        assert done.returncode == 0, done.stderr
        assert not re.search("[\x1b\x9b\x07\u202e]", done.stdout)
        assert "script" in done.stdout
    assert json.loads(done.stdout)["source"]["model"] == "\x1b[31mm<script>alert(1)</script>\u202e"


def test_reports_escape_what_html_would_obey(minilm: Bundle) -> None:
    figure = records.Accuracy(metric="<script>a</script>", compressed=1.0, data="<img src=x>")
    page = reports.of_bundle(records.Bundle(**{**vars(minilm), "accuracy": (figure,)}), {"<b>cosine": [0.5, 0.6]})
    assert "<script>a" not in page
    assert "<b>cosine" not in page


@given(st.text())
def test_reports_show_what_a_reader_would_not_see(text: str) -> None:
    hostile = text + ESCAPES
    check = suites.Check(kind="size", name=hostile, limits={})
    result = suites.CheckResult(check=check, value=records.NotMeasured(reason=hostile), reason=hostile)
    found = suites.SuiteResult(suite=hostile, bundle=hostile, results=(result,), samples={hostile: [0.5, 0.6]})
    for document in (
        reports.of_suite(found, [records.Component(name=hostile, parameters=1, bytes=1)], {"model": hostile}),
        junit.render(found),
    ):
        assert printable(document) == document
    ElementTree.fromstring(junit.render(found))


def test_closed_streams_and_narrow_terminals(edgepack: Run, minilm: Bundle) -> None:
    command = f"{Path(sys.executable).parent / 'edgepack'} inspect {minilm.path}"
    shell = ["bash", "-c", f"{command} | head -c 1; exit ${{PIPESTATUS[0]}}"]
    cut = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert (cut.returncode in (0, 141), cut.stderr) == (True, "")  # all was written before head left, or not
    for closed in (">&-", "2>&-", "<&-", ">&- 2>&-", "| head -c 1", ">/dev/full"):
        done = subprocess.run(f"{command} {closed}", shell=True, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr, closed
    done = edgepack("inspect", minilm.path, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr


def test_pack_of_the_folder_one_is_in(copied: Path, edgepack: Run) -> None:
    done = edgepack("pack", ".", "--zip", cwd=copied)
    assert done.returncode == 0, done.stderr
    assert copied.with_name("bundle.edgepack").is_file()


def test_a_mistake_of_our_own_is_one_line_and_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    try:
        json.loads("{")
    except ValueError as error:
        told = unexpected.told(error, ["build", "x"])
    assert told.exit_code == 70
    assert "\n" not in str(told)
    (file,) = tmp_path.iterdir()
    assert file.name in told.hint
    assert "Traceback" in file.read_text() and "'build', 'x'" in file.read_text()  # noqa: PT018 (one statement)


def test_the_command_ends_with_70(copied: Path, tmp_path: Path) -> None:
    code = (
        "import sys, edgepack.cli.app\n"
        "edgepack.cli.app.app = lambda **_: 1 / 0\n"
        "import edgepack.cli; edgepack.cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 70
    assert "ZeroDivisionError" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(list(tmp_path.iterdir())) >= 1


FOLDERS: dict[str, Callable[[Path, Path], object]] = {
    "a licence that is a link out": lambda f, secret: (f / "LICENSE").symlink_to(secret),
    "a vocabulary that is a link out": lambda f, secret: (
        (f / "vocab.txt").unlink(missing_ok=True),
        (f / "vocab.txt").symlink_to(secret),
    ),
    "a fifo": lambda f, secret: os.mkfifo(f / "merges.txt"),
    "a device": lambda f, secret: (f / "added_tokens.json").symlink_to("/dev/zero"),
    "shards elsewhere": lambda f, secret: (
        (f / "model.safetensors").rename(f.parent / "x.safetensors"),
        (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../x.safetensors"}}'),
    ),
    "shards of another type": lambda f, secret: (
        (f / "model.safetensors").unlink(),
        (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": 7, "b": ["x"]}}'),
    ),
    "architectures of another type": lambda f, secret: (f / "config.json").write_text('{"architectures": {"a": 1}}'),
    "architectures of numbers": lambda f, secret: (f / "config.json").write_text('{"architectures": [1]}'),
    "a config that is deep": lambda f, secret: (f / "config.json").write_text("[" * 100_000),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
def test_hostile_model_folders(name: str, tiny: Callable[[str], Path], tmp_path: Path, edgepack: Run) -> None:
    folder, secret = tmp_path / "model", tmp_path / "secret"
    shutil.copytree(tiny("text-embedding"), folder)
    secret.write_text("a private file")
    FOLDERS[name](folder, secret)
    done = edgepack("build", folder, "--target", "rpi", "--dry-run", timeout=60)
    assert done.returncode in (10, 13, 14, 15), done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("dist*"))
