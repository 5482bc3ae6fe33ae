"""Read and check edgepack.json, the list of what a bundle holds (schemas/bundle-2.json, and still bundle-1.json)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import IO

from edgepack.containment import READABLE, check_distinct, checked_name, contained, open_file
from edgepack.documents import Json, JsonDict, JsonObject, parse_json, read_object, read_open
from edgepack.errors import BundleDamaged, BundleError, BundleTooNew, BundleUnsafe, FileTrouble
from edgepack.runtime import graphs, schema, schema_1, submodel
from edgepack.runtime.processing import Processing
from edgepack.runtime.submodel import Submodel

MANIFEST = "edgepack.json"
MEASUREMENTS = "measurements.json"
SIGNATURE = "model.sig"
BESIDE = (MANIFEST, MEASUREMENTS, SIGNATURE)  # what is a bundle's and its manifest does not list
SCHEMA = 2
LARGEST = 10_000_000  # bytes of the manifest or the measurements
_USED = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")  # by the runtime, where they are there
_CHUNK = 1 << 20
REBUILD = "copy the bundle again, or build it again"


@dataclass(frozen=True)
class Manifest:
    """edgepack.json in the form of schema 2, with short ways to what is used often."""

    folder: Path
    table: JsonObject
    sha256: str = ""  # of the bytes that were read
    states: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # of files that are watched (unchanged.py)

    @property
    def name(self) -> str:
        """The bundle's name."""
        return str(self.table["name"])

    def label_of(self, name: str) -> str:
        """Return what a figure about a submodel calls it: its name, "" where the bundle has one alone."""
        return name if len(self.models) > 1 else ""

    @property
    def task(self) -> str:
        """The task, for example "text-embedding"."""
        return str(self.table["task"])

    @cached_property
    def models(self) -> Mapping[str, Submodel]:
        """The submodels by name."""
        files = self.table["files"]
        return {name: submodel.read(name, entry, self.folder, files) for name, entry in self.table["models"].items()}

    @property
    def model(self) -> Submodel:
        """The submodel of a bundle that has one; ValueError for others."""
        (only,) = self.models.values()
        return only

    @property
    def model_bytes(self) -> int:
        """Size of all submodels' files, bytes; a file that several share is counted once."""
        shared = {file for one in self.models.values() for file in one.files}
        return sum(int(self.table["files"][file]["bytes"]) for file in shared)

    @cached_property
    def processing(self) -> Processing:
        """The pre- and post-processing."""
        return Processing.from_json(self.table["processing"])

    @property
    def threads(self) -> int:
        """The target's threads."""
        return int(self.table["target"]["threads"])

    @property
    def isa(self) -> str:
        """The target's instruction set: arm64, x86_64 or wasm32."""
        return str(self.table["target"]["isa"])


def read(folder: Path) -> Manifest:
    """Return the manifest of the bundle in ``folder``: it keeps the schema, and every listed file is there and inside.

    Raises BundleError, BundleTooNew, BundleUnsafe, BundleFileMissing; FileTrouble where this user may not read it.
    """
    if not folder.is_dir():
        raise BundleError(f"there is no bundle {folder}", hint="edgepack build makes one")
    try:
        os.lstat(folder / MANIFEST)
    except PermissionError as error:
        raise FileTrouble(f"{folder} cannot be read: {error.strerror}", hint=READABLE) from error
    except OSError as error:
        raise BundleError(f"{folder} is not a bundle: it has no {MANIFEST}", hint="edgepack build makes one") from error
    file = folder / MANIFEST
    text = read_open(open_file(folder, MANIFEST), file, hint=REBUILD, largest=LARGEST)
    table = checked(parse_json(text, str(file), hint=REBUILD), str(file))
    manifest = Manifest(folder, table, hashlib.sha256(text).hexdigest())
    for name in manifest.table["files"]:
        contained(folder, name)
    _check_unlisted(manifest)
    return manifest


def checked(table: Json, place: str) -> JsonDict:
    """Return ``table`` in the form of schema 2, a manifest that keeps its schema and does not contradict itself.

    Raises BundleError, BundleTooNew and BundleUnsafe, which name ``place`` and what is wrong there.
    """
    if not isinstance(table, dict):
        raise BundleError(f"{place} does not hold an object", hint=REBUILD)
    version = _version(table.get("schema"), place)
    for name in _names(table):
        checked_name(name, place)
    if version == schema_1.VERSION:
        _check_schema(table, version, place)
    made: JsonDict = schema_1.upgraded(table) if version == schema_1.VERSION else table
    if "processing" in made:  # says more about what is unknown there than the schema
        Processing.from_json(made["processing"], f"{place}: processing")
    _check_schema(made, SCHEMA, place)
    check_distinct([*made["files"], *BESIDE], place)
    _check_listed(made, place)
    return made


def verify(manifest: Manifest) -> list[str]:
    """Hash every listed file; the names of files that are there and not listed.

    Raises BundleDamaged naming the first file that differs.
    """
    for name, entry in manifest.table["files"].items():
        with open(open_file(manifest.folder, name), "rb") as stream:
            whole = os.fstat(stream.fileno()).st_size == entry["bytes"] and _digest(stream) == entry["sha256"]
        if not whole:
            raise BundleDamaged(f"{name} in {manifest.folder} is not what the bundle was built with", hint=REBUILD)
    return sorted(found(manifest.folder) - {*manifest.table["files"], *BESIDE})


def digest(file: Path) -> str:
    """Return SHA-256 of a file, in hexadecimal."""
    try:
        with file.open("rb") as stream:
            return _digest(stream)
    except OSError as error:
        raise FileTrouble(f"{file} cannot be read: {error.strerror}", hint=READABLE) from error


def _digest(stream: IO[bytes]) -> str:
    total = hashlib.sha256()
    while chunk := stream.read(_CHUNK):
        total.update(chunk)
    return total.hexdigest()


def found(folder: Path) -> set[str]:
    """Return what is in ``folder`` and no folder itself; links are not followed."""
    inside = set()
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        inside |= {Path(place, name).relative_to(folder).as_posix() for name in (*names, *links)}
    return inside


def _version(version: Json, place: str) -> int:
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise BundleError(f"{place} has schema {json.dumps(version)}, which is not a version", hint=REBUILD)
    if version > SCHEMA:
        raise BundleTooNew(
            f"{place} has schema {version}; this edgepack reads up to {SCHEMA}", hint="pip install -U edgepack"
        )
    return version


def _check_schema(table: JsonObject, version: int, place: str) -> None:
    try:
        schema.check(table, _published(version))
    except schema.Mismatch as wrong:
        raise BundleError(f"{place}: {wrong}", hint=REBUILD) from wrong


def _names(table: JsonObject) -> Iterator[str]:
    """Yield the paths in a manifest that nobody has checked yet."""
    files = table.get("files")
    yield from files if isinstance(files, dict) else ()
    models = table.get("models")
    entries = [*(models.values() if isinstance(models, dict) else ()), table.get("model"), table]  # model: of schema 1
    for entry in (entry for entry in entries if isinstance(entry, dict)):
        golden, own = entry.get("golden"), entry.get("files")
        told = [entry.get("file"), *(own if isinstance(own, list) else ())]
        told += [golden.get("file")] if isinstance(golden, dict) else []
        yield from (name for name in told if isinstance(name, str))


def _check_listed(table: JsonObject, place: str) -> None:
    files = table["files"]
    for name, entry in table["models"].items():
        model, golden, own = entry["file"], entry["golden"]["file"], entry["files"]
        whose = f"its {name}" if len(table["models"]) == 1 else f"the model of its submodel {name}"
        if not any(file == model or file.startswith(f"{model}/") for file in own):  # a Core ML package is a folder
            raise BundleError(f"{place} does not list {whose} {model!r}", hint=REBUILD)
        for file in own:
            if file not in files:
                raise BundleError(f"{place} does not list {file!r}, a file of its submodel {name}", hint=REBUILD)
        if golden not in files:
            raise BundleError(f"{place} does not list its golden vectors {golden!r}", hint=REBUILD)


def _check_unlisted(manifest: Manifest) -> None:
    """Raises BundleUnsafe for a file that the runtime would use and the manifest does not list."""
    folder = manifest.folder
    used = set(_USED)
    for one in manifest.models.values():
        used.add(graphs.last(one.path).relative_to(folder).as_posix())
        if one.path.is_dir():
            used |= {(one.path / name).relative_to(folder).as_posix() for name in found(one.path)}
    for name in sorted(used - set(manifest.table["files"])):
        if os.path.lexists(folder / name):
            raise BundleUnsafe(f"{folder} holds {name}, which its manifest does not list", hint="remove it")


@cache
def _published(version: int) -> JsonDict:
    return read_object(Path(__file__).parents[1] / "schemas" / f"bundle-{version}.json")
