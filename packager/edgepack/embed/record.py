"""The record in an embedded folder: which bundle it holds, and every generated file with its hash."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from edgepack.containment import checked_name
from edgepack.documents import read_object
from edgepack.embed.names import Names, given
from edgepack.errors import AppFolderTaken, UsageError
from edgepack.ours import EMBEDDED
from edgepack.runtime import manifest
from edgepack.runtime.schema import Mismatch, Schema, check

SCHEMA = 1
KEPT = ".edgepack-kept"  # the folder of edited files, in one folder for each update
_LARGEST = 20_000_000  # bytes
_TEXT = {"type": "string", "maxLength": 1000}
_HASH = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_FIELDS = ("bundle", "manifest_sha256", "model", "task", "target", "form", "name", "bundle_folder", "edgepack")
_TYPES: Schema = {
    "type": "object",
    "properties": {
        "schema": {"const": SCHEMA},
        **dict.fromkeys(_FIELDS, _TEXT),
        "files": {"type": "object", "additionalProperties": _HASH},
    },
    "required": ["schema", *_FIELDS, "files"],
    "additionalProperties": False,
}


@dataclass(frozen=True, kw_only=True)
class Record:
    """An embedding, as it was generated."""

    bundle: str  # its name
    manifest_sha256: str
    model: str  # that the bundle was built from
    task: str
    target: str
    form: str
    name: str  # as it was given, or the bundle's; ``names`` are its forms in code
    bundle_folder: str  # of the bundle's files, relative to the embedded folder
    edgepack: str  # the version that generated it
    files: Mapping[str, str]  # SHA-256 of each, the bundle's too, by its path

    @property
    def names(self) -> Names:
        """The name in the forms that code has, such as SentenceSearch."""
        return given(self.name)

    def to_json(self) -> str:
        """Return the text of the file."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1, ensure_ascii=False) + "\n"


def read(folder: Path) -> Record | None:
    """Return the record of an embedded folder; None where there is none. Raises AppFolderTaken for a damaged one."""
    file = folder / EMBEDDED
    if not file.is_file():
        return None
    hint = f"restore {file.name} from your version control, or remove the folder and embed again"
    table = read_object(file, AppFolderTaken, hint=hint, largest=_LARGEST)
    try:
        check(table, _TYPES)
    except Mismatch as wrong:
        raise AppFolderTaken(f"{file}: {wrong}", hint=hint) from wrong
    for name in (*table["files"], table["bundle_folder"]):
        checked_name(name, file, AppFolderTaken, hint)
    try:
        given(table["name"])
    except UsageError as wrong:
        raise AppFolderTaken(f"{file}: {wrong}", hint=hint) from wrong
    return Record(**{key: table[key] for key in (*_FIELDS, "files")})


def states(folder: Path, record: Record) -> dict[str, str]:
    """Return of each path in ``folder`` that is not as the record says: ``missing``, ``changed`` or ``yours``.

    Files that were kept earlier and the caches of Python are nobody's. Links are not followed.
    """
    there = manifest.found(folder) - {EMBEDDED}
    with ThreadPoolExecutor() as pool:
        hashes = dict(pool.map(lambda name: (name, _digest(folder / name)), there.intersection(record.files)))
    found = dict.fromkeys(set(record.files) - there, "missing")
    found |= {name: "changed" for name, digest in hashes.items() if digest != record.files[name]}
    own = {name for name in there.difference(record.files) if not is_cache(name)}
    return {**found, **dict.fromkeys(own, "yours")}


def is_cache(name: str) -> bool:
    """Tell whether a path is of what was kept earlier, or of compiled Python."""
    return name.startswith(f"{KEPT}/") or "__pycache__" in name.split("/")


def _digest(file: Path) -> str:
    """Return SHA-256 of a file; "" of what is none."""
    return manifest.digest(file) if stat.S_ISREG(file.lstat().st_mode) else ""
