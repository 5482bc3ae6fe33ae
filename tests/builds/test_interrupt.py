"""Ctrl-C, a kill and a full disk in the middle of a build: no half bundle, an earlier one intact."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgepack.records import Bundle
from edgepack.runtime import manifest

EDGEPACK = Path(sys.executable).parent / "edgepack"
PATIENCE = 120  # seconds until a build has begun to fill its folder


def started(model: Path, out: Path) -> subprocess.Popen[bytes]:
    """A build in a process of its own, stopped at the moment when its folder exists."""
    process = subprocess.Popen(
        [EDGEPACK, "build", str(model), "--target", "rpi", "--out", str(out), "--allow-loss"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    end = time.monotonic() + PATIENCE
    while not list(out.glob(".building-*")):
        assert time.monotonic() < end, "the build did not begin"
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.01)
    return process


@pytest.fixture
def out(tmp_path: Path, tiny: Callable[[str], Path], build: Callable[..., tuple[Bundle, ...]]) -> Path:
    """A folder with a finished bundle of the same name."""
    build(tiny("text-embedding"), "rpi", out=tmp_path, allow_loss=True)
    return tmp_path


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_a_stopped_build(number: int, code: int, out: Path, tiny: Callable[[str], Path]) -> None:
    name = "tiny-text-embedding-rpi"
    before = (out / name / "edgepack.json").read_bytes()
    process = started(tiny("text-embedding"), out)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert (out / name / "edgepack.json").read_bytes() == before
    manifest.verify(manifest.read(out / name))
    if number != signal.SIGKILL:
        assert b"error: stopped" in said
        assert not list(out.glob(".building-*"))


def test_what_a_kill_left_goes_with_the_next_build(
    out: Path, tiny: Callable[[str], Path], build: Callable[..., tuple[Bundle, ...]]
) -> None:
    process = started(tiny("text-embedding"), out)
    process.kill()
    process.communicate()
    assert list(out.glob(".building-*"))
    build(tiny("text-embedding"), "rpi", out=out, allow_loss=True)
    assert not list(out.glob(".building-*"))


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="mounting a small disk needs root")
def test_a_full_disk(tmp_path: Path, tiny: Callable[[str], Path]) -> None:
    """On a file system of 64 kB, in a mount namespace of its own."""
    script = (
        f"mount -t tmpfs -o size=64k none {tmp_path} && "
        f"{EDGEPACK} build {tiny('text-embedding')} --target rpi --out {tmp_path}; "
        f"code=$?; ls -A {tmp_path}; exit $code"
    )
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False)
    if "unshare failed" in done.stderr or "mount:" in done.stderr:
        pytest.skip("no mount namespaces here")
    assert done.returncode == 21, done.stderr
    assert "error: no space left on the disk" in done.stderr
    assert done.stdout.strip() == ""


def test_two_builds_at_once(tmp_path: Path, tiny: Callable[[str], Path]) -> None:
    command = [EDGEPACK, "build", str(tiny("fill-mask")), "-t", "rpi", "--allow-loss", "--json", "--out", str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    answers = [process.communicate(timeout=PATIENCE) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert json.loads(answers[0][0])[0]["path"] == str(tmp_path / "tiny-fill-mask-rpi")
    manifest.verify(manifest.read(tmp_path / "tiny-fill-mask-rpi"))


def test_what_is_not_ours_stops_before_the_work(
    tmp_path: Path, tiny: Callable[[str], Path], edgepack: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    thesis = tmp_path / "tiny-fill-mask-rpi" / "thesis.txt"
    thesis.parent.mkdir()
    page = tmp_path / "tiny-fill-mask-rpi.html"
    page.write_text("mine")
    command = ["build", tiny("fill-mask"), "-t", "rpi", "--allow-loss", "--no-speed", "--out", tmp_path]
    for mine in (thesis, page):
        mine.write_text("mine")
        done = edgepack(*command)
        assert done.returncode == 22
        assert "would be replaced" in done.stderr
        assert "--force" in done.stderr
        assert mine.read_text() == "mine"
        if mine == thesis:
            shutil.rmtree(thesis.parent)
    assert edgepack(*command, "--force").returncode == 0
    assert edgepack(*command).returncode == 0
    assert "mine" not in page.read_text()
