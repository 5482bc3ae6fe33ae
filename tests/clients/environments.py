"""Environments of the clients, made by the tests once and kept: one for each content of what is asked for."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
# read when the tests are collected: during the session XDG_CACHE_HOME is the session's own
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
_KEPT = Path(os.environ.get("EDGEPACK_TEST_ENVIRONMENTS") or _CACHE / "edgepack-tests")
_OFFLINE = {"HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
_SECONDS = 300  # of one client's process, at most


class ClientFailed(Exception):
    """What a client's process, or that of its installation, said when it failed."""


def python(name: str) -> Path:
    """The interpreter of an environment with ``requirements/<name>.txt``."""
    wanted = HERE / "requirements" / f"{name}.txt"

    def make(folder: Path) -> None:
        venv.create(folder, with_pip=True)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, "--no-deps", "--requirement", wanted])

    return kept(name, [wanted], sys.version, make) / "bin" / "python"


def packages(name: str) -> Path:
    """A folder for ``sys.path`` with ``requirements/<name>.txt``, and nothing that they ask for."""
    wanted = HERE / "requirements" / f"{name}.txt"

    def make(folder: Path) -> None:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        run([*pip, "--target", folder, "--requirement", wanted])

    return kept(f"{name}-packages", [wanted], sys.version, make)


def node(version: str) -> Path:
    """A folder whose ``node_modules`` has transformers.js of this version; skips where there is no Node."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not here")
    wanted = [HERE / "js" / version / name for name in ("package.json", "package-lock.json")]

    def make(folder: Path) -> None:
        for file in wanted:
            shutil.copy(file, folder)
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", "--prefix", folder])

    return kept(f"transformers.js-{version}", wanted, "", make)


def ask(command: Sequence[str | Path], job: Any = None) -> Any:
    """What a client's program, which reads JSON and prints JSON in its last line, answers. Raises ClientFailed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
        env={**environment, **_OFFLINE},
    )
    if done.returncode:
        raise ClientFailed(done.stdout + done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def kept(name: str, files: Sequence[Path], also: str, make: Callable[[Path], None]) -> Path:
    """The folder that ``make`` fills; made beside its place and renamed, so that an interrupted one is never used."""
    digest = hashlib.sha256(b"\0".join([*(file.read_bytes() for file in files), also.encode()]))
    folder = _KEPT / f"{name}-{digest.hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    _KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_KEPT, prefix=f".{name}-") as beside:
        new = Path(beside) / "new"
        new.mkdir()
        make(new)
        if not folder.is_dir():  # another session may have made it meanwhile
            new.rename(folder)
    return folder


def run(command: Sequence[str | Path], cwd: Path | None = None) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        raise ClientFailed(done.stdout + done.stderr)
