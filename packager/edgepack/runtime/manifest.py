"""Read and check edgepack.json, the list of what a bundle holds (schemas/bundle-1.json)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from edgepack.containment import check_distinct, checked_name, contained
from edgepack.documents import parse_json, read_bytes, read_object
from edgepack.errors import BundleDamaged, BundleError, BundleTooNew, BundleUnsafe
from edgepack.records import TensorSpec
from edgepack.runtime import graphs, schema

MANIFEST = "edgepack.json"
MEASUREMENTS = "measurements.json"
SIGNATURE = "model.sig"
BESIDE = (MANIFEST, MEASUREMENTS, SIGNATURE)  # what is a bundle's and its manifest does not list
SCHEMA = 1
LARGEST = 10_000_000  # bytes of the manifest or the measurements
_USED = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")  # by the runtime, where they are there
_CHUNK = 1 << 20
_REBUILD = "copy the bundle again, or build it again"


@dataclass(frozen=True)
class Manifest:
    """edgepack.json as it was read, with short ways to what is used often."""

    folder: Path
    table: Mapping[str, Any]
    sha256: str = ""  # of the bytes that were read
    states: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # of files that are watched (unchanged.py)

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
    def format(self) -> str:
        """Of the model's file, which names its engine: onnx, coreml."""
        return str(self.table["model"]["format"])

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
    """The manifest of the bundle in ``folder``: it keeps the schema, and every listed file is there and inside.

    Raises BundleError, BundleTooNew, BundleUnsafe, BundleFileMissing.
    """
    if not folder.is_dir():
        raise BundleError(f"there is no bundle {folder}", hint="edgepack build makes one")
    if not os.path.lexists(folder / MANIFEST):
        raise BundleError(f"{folder} is no bundle: it has no {MANIFEST}", hint="edgepack build makes one")
    file = contained(folder, MANIFEST)
    text = read_bytes(file, hint=_REBUILD, largest=LARGEST)
    table = checked(parse_json(text, str(file), hint=_REBUILD), str(file))
    manifest = Manifest(folder, table, hashlib.sha256(text).hexdigest())
    for name in manifest.table["files"]:
        contained(folder, name)
    _check_unlisted(manifest)
    return manifest


def checked(table: Any, place: str) -> dict[str, Any]:
    """``table`` as a manifest that keeps the schema and does not contradict itself.

    Raises BundleError, BundleTooNew and BundleUnsafe, which name ``place`` and what is wrong there.
    """
    if not isinstance(table, dict):
        raise BundleError(f"{place} does not hold an object", hint=_REBUILD)
    _check_version(table.get("schema"), place)
    for name in _names(table):
        checked_name(name, place)
    try:
        schema.check(table, _published())
    except schema.Mismatch as wrong:
        raise BundleError(f"{place}: {wrong}", hint=_REBUILD) from wrong
    check_distinct([*table["files"], *BESIDE], place)
    _check_listed(table, place)
    return table


def verify(manifest: Manifest) -> list[str]:
    """Hash every listed file; the names of files that are there and not listed.

    Raises BundleDamaged naming the first file that differs.
    """
    for name, entry in manifest.table["files"].items():
        file = contained(manifest.folder, name)
        if file.stat().st_size != entry["bytes"] or digest(file) != entry["sha256"]:
            raise BundleDamaged(f"{name} in {manifest.folder} is not what the bundle was built with", hint=_REBUILD)
    return sorted(found(manifest.folder) - {*manifest.table["files"], *BESIDE})


def digest(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    total = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                total.update(chunk)
    except OSError as error:
        raise BundleError(f"{file} cannot be read: {error.strerror}") from error
    return total.hexdigest()


def found(folder: Path) -> set[str]:
    """What is in ``folder`` and no folder itself; links are not followed."""
    inside = set()
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        inside |= {Path(place, name).relative_to(folder).as_posix() for name in (*names, *links)}
    return inside


def _check_version(version: Any, place: str) -> None:
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise BundleError(f"{place} has schema {version!r}, which is no version", hint=_REBUILD)
    if version > SCHEMA:
        raise BundleTooNew(
            f"{place} has schema {version}; this edgepack reads up to {SCHEMA}", hint="pip install -U edgepack"
        )


def _names(table: Mapping[str, Any]) -> Iterator[str]:
    """The paths in a manifest that nobody has checked yet."""
    files = table.get("files")
    yield from files if isinstance(files, dict) else ()
    for part in ("model", "golden"):
        facts = table.get(part)
        if isinstance(facts, dict) and isinstance(facts.get("file"), str):
            yield facts["file"]


def _check_listed(table: Mapping[str, Any], place: str) -> None:
    files, model, golden = table["files"], table["model"]["file"], table["golden"]["file"]
    if not any(name == model or name.startswith(f"{model}/") for name in files):  # a Core ML package is a folder
        raise BundleError(f"{place} does not list its model {model!r}", hint=_REBUILD)
    if golden not in files:
        raise BundleError(f"{place} does not list its golden vectors {golden!r}", hint=_REBUILD)


def _check_unlisted(manifest: Manifest) -> None:
    """Raises BundleUnsafe for a file that the runtime would use and the manifest does not list."""
    folder, model = manifest.folder, manifest.model_file
    used = {*_USED, graphs.last(model).relative_to(folder).as_posix()}
    if model.is_dir():
        used |= {f"{manifest.table['model']['file']}/{name}" for name in found(model)}
    for name in sorted(used - set(manifest.table["files"])):
        if os.path.lexists(folder / name):
            raise BundleUnsafe(f"{folder} holds {name}, which its manifest does not list", hint="remove it")


@cache
def _published() -> dict[str, Any]:
    return read_object(Path(__file__).parents[1] / "schemas" / f"bundle-{SCHEMA}.json")
