"""Recognising what edgepack made in a user's folder: a bundle, an archive, a signature, a report. All else is theirs.

Whatever lies there is read with care: it may be of any size and kind.
"""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterable
from pathlib import Path

from edgepack import documents
from edgepack.documents import JsonObject
from edgepack.errors import BundleError, SignatureError
from edgepack.runtime.archive import BROKEN
from edgepack.runtime.manifest import BESIDE, LARGEST, MANIFEST, MEASUREMENTS, SIGNATURE
from edgepack.runtime.signing import envelope

EMBEDDED = "edgepack-embedded.json"  # in the folder of an app that a bundle was embedded in
_BY_SYSTEMS = {".DS_Store", "Thumbs.db", "desktop.ini"}  # what file managers leave in every folder
_HEAD = 65_536  # bytes of a report, within which its mark lies
_MANIFEST_KEYS = {"schema", "edgepack", "name", "files"}
_MEASUREMENTS_KEYS = {"schema", "accuracy", "timings"}


def not_a_bundle(place: Path) -> str:
    """Say why ``place`` is not a bundle of this name and no more, in a clause; "" where it is."""
    kind = place.lstat().st_mode
    if stat.S_ISLNK(kind):
        return "is a link"
    if not stat.S_ISDIR(kind):
        return "is not a folder"
    table = _manifest(_read(place / MANIFEST))
    if table is None:
        return f"is a folder without edgepack's {MANIFEST}"
    if table["name"] != place.name:
        return f"is the bundle {table['name']!r}"
    names = _names(place)
    foreign = [name for name in BESIDE if name in names and not _fits(name, _read(place / name))]
    return _holds(names, table, foreign)


def not_an_archive(file: Path) -> str:
    """Say why ``file`` is not a bundle in its one-file form and no more, in a clause; "" where it is."""
    if not _regular(file):
        return "is not a file"
    try:
        with zipfile.ZipFile(file) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
            table = _manifest(_entry(archive, MANIFEST)) if MANIFEST in names else None
            if table is None:
                return "is not a bundle"
            foreign = [name for name in BESIDE if name in names and not _fits(name, _entry(archive, name))]
    except BROKEN:
        return "is not a bundle"
    return _holds(names, table, foreign)


def is_signature(file: Path) -> bool:
    """Return whether a bundle's signature is what has this name."""
    return _fits(SIGNATURE, _read(file))


def has_mark(file: Path, mark: str) -> bool:
    """Return whether a file has this name, with ``mark`` near its beginning."""
    if not _regular(file):
        return False
    with file.open("rb") as stream:
        return mark.encode() in stream.read(_HEAD)


def _holds(names: Iterable[str], table: JsonObject, foreign: Iterable[str]) -> str:
    """Return what the manifest ``table`` does not account for, in a clause; "" for nothing."""
    others = set(names) - {*table["files"], *BESIDE}
    theirs = sorted({name for name in others if Path(name).name not in _BY_SYSTEMS}.union(foreign))
    return f"holds {theirs[0]!r}, which is not the bundle's" if theirs else ""


def _fits(name: str, text: bytes | None) -> bool:
    """Return whether ``text`` is what edgepack writes under a name of BESIDE."""
    if text is None:
        return False
    if name == SIGNATURE:
        try:
            envelope.decode(text, name)
        except SignatureError:
            return False
        return True
    table = _object(text)
    return table is not None and (_MEASUREMENTS_KEYS if name == MEASUREMENTS else _MANIFEST_KEYS) <= set(table)


def _manifest(text: bytes | None) -> JsonObject | None:
    """Return what a manifest says, where it is one; a damaged bundle's is good enough."""
    table = _object(text) if text is not None else None
    if table is None or not set(table) >= _MANIFEST_KEYS or not isinstance(table["files"], dict):
        return None
    return table


def _object(text: bytes) -> JsonObject | None:
    try:
        value = documents.parse_json(text, "")
    except BundleError:
        return None
    return value if isinstance(value, dict) else None


def _read(file: Path) -> bytes | None:
    """Return the bytes of a file of a size that edgepack writes; None for all else."""
    try:
        return documents.read_bytes(file, largest=LARGEST) if _regular(file) else None
    except BundleError:
        return None


def _entry(archive: zipfile.ZipFile, name: str) -> bytes | None:
    with archive.open(name) as stream:
        text = stream.read(LARGEST + 1)
    return text if len(text) <= LARGEST else None


def _names(folder: Path) -> set[str]:
    """Return every file and link below ``folder``, which is not left by any link."""
    found = set()
    for where, folders, files in os.walk(folder):
        links = [name for name in folders if Path(where, name).is_symlink()]
        found |= {Path(where, name).relative_to(folder).as_posix() for name in (*files, *links)}
    return found


def _regular(file: Path) -> bool:
    return os.path.lexists(file) and stat.S_ISREG(file.lstat().st_mode)
