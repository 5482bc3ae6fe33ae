"""The npm packages that a browser runs bundles with: a folder of the user's, or fetched once into the cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from edgepack import cachefolder
from edgepack.devices._device import Device
from edgepack.documents import parse_json
from edgepack.errors import DeviceLacks
from edgepack.progress import Say

WEB, TRANSFORMERS = "onnxruntime-web", "@huggingface/transformers"
_VERSION = "4.3.2"  # of transformers.js, which brings its own onnxruntime-web
_FOLDER = "node_modules"


def modules(device: Device, say: Say, *, prepare: bool) -> Path:
    """Return the folder node_modules that has onnxruntime-web: of devices.toml, the working folder or the cache.

    With ``prepare`` npm fills the last one. Raises DeviceLacks.
    """
    own = cachefolder.root() / "npm" / f"transformers-{_VERSION}" / _FOLDER
    places = [device.modules] if device.modules else [Path(_FOLDER).absolute(), own]
    found = next((place for place in places if (place / WEB / "package.json").is_file()), None)
    if found is not None:
        return found
    if device.modules or not prepare:
        raise DeviceLacks(
            f"there is no {WEB} in {device.modules or 'node_modules of this folder'}",
            hint=f"--prepare fetches it with npm; or here: npm install {TRANSFORMERS}@{_VERSION}",
        )
    say(f"fetching {TRANSFORMERS} {_VERSION} with npm")
    _fetch(own)
    return own


def versions(place: Path) -> dict[str, str]:
    """Return the versions of the packages in a folder node_modules."""
    found = {}
    for name in (WEB, TRANSFORMERS):
        file = place / name / "package.json"
        if file.is_file():
            table = parse_json(file.read_bytes(), str(file), DeviceLacks, hint="npm install repairs it")
            found[name] = str(table.get("version", ""))[:50] if isinstance(table, dict) else ""
    return found


def clear() -> int:
    """Delete what was fetched into the cache; the bytes set free."""
    place = cachefolder.root() / "npm"
    freed = sum(file.lstat().st_size for file in place.rglob("*") if file.is_file() and not file.is_symlink())
    shutil.rmtree(place, ignore_errors=True)
    return freed


def _fetch(place: Path) -> None:
    if shutil.which("npm") is None:
        raise DeviceLacks("there is no npm on this machine", hint="apt install npm")
    options = ["--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--silent"]
    with cachefolder.room("npm") as work:
        fresh = work / place.parent.name
        fresh.mkdir()
        (fresh / "package.json").write_text(json.dumps({"private": True, "dependencies": {TRANSFORMERS: _VERSION}}))
        done = subprocess.run(
            ["npm", "install", *options, "--prefix", str(fresh)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise DeviceLacks(f"npm fails: {lines[-1][:200]}", hint="npm needs a network")
        if not place.is_dir():
            os.rename(fresh, place.parent)
