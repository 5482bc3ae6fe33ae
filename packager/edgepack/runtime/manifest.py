"""Read and check edgepack.json, the list of what a bundle holds (schemas/bundle-1.json)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from edgepack.errors import BundleDamaged, BundleError, BundleFileMissing, BundleTooNew, BundleUnsafe
from edgepack.records import TensorSpec
from edgepack.runtime import graphs

MANIFEST = "edgepack.json"
MEASUREMENTS = "measurements.json"
SCHEMA = 1
_CHUNK = 1 << 20
_REBUILD = "copy the bundle again, or build it again"


@dataclass(frozen=True)
class Manifest:
    """edgepack.json as it was read, with short ways to what is used often."""

    folder: Path
    table: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The bundle's name."""
        return str(self.table["name"])

    @property
    def task(self) -> str:
        """The task, for example "text-embedding"."""
        return str(self.table["task"])

    @property
    def model_file(self) -> Path:
        """Where the model lies."""
        return self.folder / str(self.table["model"]["file"])

    @property
    def model_bytes(self) -> int:
        """Of the model's file, and of what lies beside it: weights, and a language model's other graph."""
        name = str(self.table["model"]["file"])
        names = (name, graphs.last(Path(name)).as_posix())
        return sum(int(entry["bytes"]) for file, entry in self.table["files"].items() if file.startswith(names))

    @property
    def processing(self) -> Mapping[str, Any]:
        """The numbers of pre- and post-processing."""
        processing: Mapping[str, Any] = self.table["processing"]
        return processing

    @property
    def threads(self) -> int:
        """The target's threads."""
        return int(self.table["target"]["threads"])

    @property
    def isa(self) -> str:
        """The target's instruction set: arm64, x86_64 or wasm32."""
        return str(self.table["target"]["isa"])

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The graph's inputs."""
        return tuple(
            TensorSpec(name=spec["name"], dtype=spec["dtype"], shape=tuple(spec["shape"]))
            for spec in self.table["model"]["inputs"]
        )


def read(folder: Path) -> Manifest:
    """The manifest of the bundle in ``folder``; every listed path is inside the folder and exists.

    Raises BundleError, BundleTooNew, BundleUnsafe, BundleFileMissing.
    """
    file = folder / MANIFEST
    if not folder.is_dir():
        raise BundleError(f"there is no bundle {folder}", hint="edgepack build makes one")
    if not file.is_file():
        raise BundleError(f"{folder} is no bundle: it has no {MANIFEST}", hint="edgepack build makes one")
    try:
        table = json.loads(file.read_text("utf-8"))
        schema = table["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{file} cannot be read", hint=_REBUILD) from error
    if not isinstance(schema, int) or schema > SCHEMA:
        raise BundleTooNew(
            f"{folder} has schema {schema}; this edgepack reads up to {SCHEMA}",
            hint="pip install -U edgepack",
        )
    manifest = Manifest(folder, table)
    _check_shape(manifest)
    for name in table["files"]:
        if not inside(folder, name).is_file():
            raise BundleFileMissing(f"{folder} lacks {name}", hint=_REBUILD)
    return manifest


def verify(manifest: Manifest) -> list[str]:
    """Hash every listed file; the names of files that are there and not listed.

    Raises BundleDamaged naming the first file that differs.
    """
    for name, entry in manifest.table["files"].items():
        file = inside(manifest.folder, name)
        if file.stat().st_size != entry["bytes"] or digest(file) != entry["sha256"]:
            raise BundleDamaged(f"{name} in {manifest.folder} is not what the bundle was built with", hint=_REBUILD)
    listed = {*manifest.table["files"], MANIFEST, MEASUREMENTS}
    found = (file for file in manifest.folder.rglob("*") if file.is_file())
    return sorted({file.relative_to(manifest.folder).as_posix() for file in found} - listed)


def digest(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    total = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            total.update(chunk)
    return total.hexdigest()


def inside(folder: Path, name: str) -> Path:
    """``folder/name``. Raises BundleUnsafe where the path, or a link on it, leads out of the folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts:
        raise BundleUnsafe(f"the bundle names a path outside its folder: {name!r}", hint="do not use this bundle")
    if not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise BundleUnsafe(f"{name!r} in the bundle is a link out of its folder", hint="do not use this bundle")
    return folder / name


def _check_shape(manifest: Manifest) -> None:
    """What the runtime relies on is there; the JSON Schema says it in full."""
    table = manifest.table
    try:
        known = [
            table["name"],
            table["task"],
            table["processing"],
            table["target"]["threads"],
            table["target"]["isa"],
        ]
        files, model = table["files"], table["model"]
        known += [model["inputs"], model["outputs"], *(entry["sha256"] for entry in files.values())]
        file = model["file"]
    except (KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{manifest.folder / MANIFEST} lacks {error}", hint=_REBUILD) from error
    inside(manifest.folder, file)
    if not any(name == file or name.startswith(f"{file}/") for name in files):  # a Core ML package is a folder
        raise BundleError(f"{manifest.folder / MANIFEST} does not list its model {file!r}", hint=_REBUILD)
