"""A child answers, and never outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgepack import child

ECHO = "import sys; print(sys.argv[1:], sys.stdin.read(), end=''); print('last word', file=sys.stderr)"
SLOW = "import os, time, sys; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
PARENT = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells take from what they start in the background
from edgepack.child import Child
from pathlib import Path
with Child("slow", sys.argv[1], scratch=Path(sys.argv[1]).parent / "scratch") as started:
    if len(sys.argv) > 2:
        started.send("a line")
    time.sleep(600)
"""
PATIENCE = 30  # seconds


@pytest.fixture(autouse=True)
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("echo", ECHO), ("slow", SLOW), ("broken", "raise ValueError('a reason')")):
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))


@pytest.mark.parametrize("request_", ["", "a line", "é" * 1_000_000])
def test_it_reads_and_answers(request_: str, tmp_path: Path) -> None:
    done = child.run("echo", tmp_path, "b", request=request_)
    assert done == child.Answer(0, f"{[str(tmp_path), 'b']} {request_}", "last word\n")


def test_its_trouble_is_told() -> None:
    done = child.run("broken", request="x" * 1_000_000)
    assert done.code == 1
    assert done.trouble == "ValueError: a reason"


def test_patience(tmp_path: Path) -> None:
    with child.Child("slow", tmp_path / "pid") as slow, pytest.raises(subprocess.TimeoutExpired):
        slow.wait(0.01)


def runs(pid: int) -> bool:
    """Whether the process is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for the process in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("sent", [(), ("sent",)])
def test_it_ends_with_its_parent(number: int, sent: tuple[str, ...], tmp_path: Path) -> None:
    file, scratch = tmp_path / "pid", tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "result").touch()
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(file), *sent], stderr=subprocess.DEVNULL)
    end = time.monotonic() + PATIENCE
    while not (file.is_file() and file.read_text()):
        assert time.monotonic() < end
        time.sleep(0.01)
    pid = int(file.read_text())
    assert runs(pid)
    parent.send_signal(number)
    parent.wait()
    while runs(pid):
        assert time.monotonic() < end, "the child lives on"
        time.sleep(0.01)
    assert not scratch.exists() or number == signal.SIGINT  # where the parent had time to stop it


def test_every_process_of_ours_is_such_a_child() -> None:
    """Another program may be asked for its version; Python modules of ours are begun in one place.

    A device is reached by a program (ssh, or Python that takes pushed files in); its end is tested in tests/devices.
    """
    begun = [
        file.name
        for file in Path(child.__file__).parent.rglob("*.py")
        if "devices" not in file.parts and ("Popen(" in (text := file.read_text()) or "sys.executable" in text)
    ]
    assert begun == ["child.py"]
