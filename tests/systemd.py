"""systemd's own tools for units, which need no running systemd: what is wrong, how exposed it is, and a socket."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="systemd's tools are not here")
_PYTHON = re.compile(r"(?<=ExecStart=)/opt/\S+/env/bin/python")


def verify(units: Path, folder: Path) -> None:
    """What systemd-analyze finds wrong with the units in ``units``: nothing. Their interpreter is this one."""
    copies = [folder / file.name for file in sorted(units.iterdir())]
    for file, copy in zip(sorted(units.iterdir()), copies, strict=True):
        copy.write_text(_PYTHON.sub(sys.executable, file.read_text()))
    done = _run("systemd-analyze", "verify", "--man=no", *copies)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def exposure(service: Path) -> float:
    """How much a service might reach beyond its needs: 0 is nothing, 10 everything."""
    done = _run("systemd-analyze", "security", "--offline=yes", "--no-pager", service)
    found = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    return float(found[1])


@contextmanager
def activated(service: Path, folder: Path, *options: str) -> Iterator[str]:
    """The address of a service that is started by the first request, with ExecStart's words and ``options``.

    At the end it has stopped by itself, without an error.
    """
    found = re.search(r"^ExecStart=\S+ (.+)$", service.read_text(), re.MULTILINE)
    assert found
    with socket.create_server(("127.0.0.1", 0)) as one:
        address = f"127.0.0.1:{one.getsockname()[1]}"
    command = ["systemd-socket-activate", "-l", address, sys.executable, *found[1].split(), *options]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "Listening on" in process.stderr.readline()
        yield f"http://{address}"
        assert process.wait(60) == 0


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
