"""Digests of all that a unit's result depends on: equal ones are equal work, on whatever machine."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from pathlib import Path

from edgepack import __version__, installed, project, suites
from edgepack.contents import contents
from edgepack.documents import JsonDict, JsonObject
from edgepack.records import Recipe, Source, Target
from edgepack.suites import Suite
from edgepack.sweep._records import ModelEntry, Sweep

_EXTRAS = ("", "build", "coreml", "diffusion")  # whose packages shape what a build makes
_SAID = ("README.md", "LICENSE*", "NOTICE*")  # files of a model that are copied into its bundles


def of(kind: str, facts: JsonObject) -> str:
    """Return the SHA-256 of ``facts`` (JSON values), as hexadecimal digits."""
    return hashlib.sha256(json.dumps({"kind": kind, **facts}, sort_keys=True, default=str).encode()).hexdigest()


def of_build(source: Source, entry: ModelEntry, target: Target, recipe: Recipe | None, sweep: Sweep) -> str:
    """Return the digest of a build; ``recipe`` is None where the build chooses it."""
    options = {key: value for key, value in asdict(entry).items() if key not in ("model", "memory", "folder")}
    return of(
        "build",
        {
            "model": source.model,
            "sha256": source.sha256,
            "revision": source.revision,
            "task": source.task,
            "card": _of_files(file for name in _SAID for file in sorted(source.origin.glob(name))),
            "adapters": source.adapters,
            "options": {**options, "adapters": len(source.adapters), "task": entry.task},
            "target": {**asdict(target), "folder": target.name},
            "recipe": None if recipe is None else asdict(recipe),
            "threads": sweep.threads,
            "project": _of_files([sweep.file.with_name(project.FILE)]),  # whose recipes a build takes
            "versions": versions(),
        },
    )


def of_suite(file: Path) -> str:
    """Return the digest of a suite's file and of the data that it names. Raises ProjectError."""
    read: Suite = suites.read(file)
    places = {check.data.path for check in read.checks if check.data is not None}
    places |= {check.clip for check in read.checks if check.clip is not None}
    return of("suite", {"file": _of_files([file]), "data": [_of_place(place) for place in sorted(places)]})


@cache
def versions() -> JsonDict:
    """Return the versions of Python, edgepack and the packages that it builds with, of those that are installed."""
    asked = {need.name: need.found for extra in _EXTRAS for need in installed.needs(extra)}
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, **asked, "edgepack": __version__}


def _of_place(place: Path) -> JsonObject:
    return {"files": contents(place, without="")} if place.is_dir() else {"file": _of_files([place])}


def _of_files(files: Iterable[Path]) -> list[str]:
    found = []
    for file in files:
        if file.is_file():
            with file.open("rb") as stream:
                found.append(f"{file.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}")
    return found
