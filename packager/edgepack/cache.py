"""The build cache: work that other targets, recipes and runs can use again.

An entry is a folder named after the hash of all that shaped it (model bytes, settings, tool versions, our own). It is
filled in a work folder, written to the disk and moved into place in one step, so an entry is whole or absent, and two
builds that make the same entry at once both end with one good copy. It says what it holds, file by file with a hash;
that is checked the first time that a process uses it, and an entry that is not what was written is made again.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import os
import re
import stat
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgepack import documents
from edgepack.cachefolder import HINT, VARIABLE, WORK, delete, put, room
from edgepack.cachefolder import root as root
from edgepack.contents import Contents, Signature, contents, signature
from edgepack.documents import JsonDict, JsonObject
from edgepack.durable import sync, sync_folder
from edgepack.errors import BundleError, FileTrouble
from edgepack.folder import Folder, size
from edgepack.runtime import manifest
from edgepack.runtime.archive import UNPACKED
from edgepack.runtime.manifest import BESIDE, MANIFEST
from edgepack.workfolder import leftovers, sweep

_LOG = logging.getLogger(__name__)
_RECORD = "facts.json"
_KEY = re.compile("[0-9a-f]{32}")
_LEFT = "left by a build that was stopped"
_checked: dict[Path, Signature] = {}  # entries that this process has hashed


@dataclass(frozen=True)
class Entry:
    """One folder of the cache."""

    kind: str
    key: str
    bytes: int
    what: str


def key_of(facts: JsonObject, version: str | None = None) -> str:
    """Return the name of the entry that ``facts`` (JSON values) lead to in a version of edgepack (default: this)."""
    shaped = {**facts, "edgepack": _version() if version is None else version}
    return hashlib.sha256(json.dumps(shaped, sort_keys=True).encode()).hexdigest()[:32]


def fetch(kind: str, facts: JsonObject, make: Callable[[Path], None]) -> Path:
    """Return the folder of the entry; ``make(folder)`` fills it first when there is none that is whole.

    Whatever ``make`` raises passes through and leaves no entry.
    """
    return find(kind, facts) or _made(kind, facts, make, keep=True)


def find(kind: str, facts: JsonObject) -> Path | None:
    """Return the folder of the entry; None where there is none, or none that is as it was written, which is noted."""
    folder = _place(kind, facts)
    sweep(folder.parent, WORK)
    if not folder.is_dir():
        return None
    state = signature(folder)
    if _checked.get(folder) != state:
        if problem := _problem(folder, facts):
            _LOG.warning("an entry of the cache is damaged and will be made again: %s, %s", folder, problem)
            return None
        _checked[folder] = state
    return folder


def told(folder: Path) -> JsonObject:
    """Return the facts of the entry in ``folder``; none where they cannot be read."""
    record = _record(folder)
    return {} if record is None else dict(record["facts"])


def store(kind: str, facts: JsonObject, make: Callable[[Path], None]) -> Path:
    """Return the folder of the entry, filled by ``make(folder)`` in place of an earlier one."""
    return _made(kind, facts, make, keep=False)


def entries() -> list[Entry]:
    """Return what is in the cache, largest first, and what builds that were stopped have left there.

    Raises FileTrouble for a folder of the cache that cannot be read.
    """
    found = []
    for kind in _kinds():
        found += [Entry(kind.name, left.name, used, _LEFT) for left, used in leftovers(kind, WORK)]
        with Folder(kind) as above:
            for name in _named(above):
                try:
                    with above.below(name) as folder:
                        files, what = _told(folder)
                        used = sum(size(state) for _, state in folder.walk())
                except OSError as error:
                    files, what, used = None, f"cannot be read: {error.strerror}", 0
                if files is not None or what:
                    found.append(Entry(kind.name, name, used, what))
    return sorted(found, key=lambda entry: -entry.bytes)


def clear() -> int:
    """Delete every entry and what builds that were stopped have left; the bytes set free.

    Nothing else goes: no other files in the cache's folder, nothing that a link leads to, not what was put into an
    entry, and no entry that does not tell what it consists of, which is noted. Raises FileTrouble for what could not be
    deleted, with all deleted that can be.
    """
    freed, trouble = 0, list[str]()
    for kind in _kinds():
        try:
            freed += sweep(kind, WORK) + _cleared(kind, trouble)
            with suppress(OSError):  # something is in it
                kind.rmdir()
        except OSError as error:
            trouble.append(f"{kind}: {error.strerror}")
    _checked.clear()
    if trouble:
        more = f" ({len(trouble) - 1} more like it)" if len(trouble) > 1 else ""
        raise FileTrouble(
            f"not all of the cache could be deleted: {trouble[0]}{more}",
            hint=f"clear it as the user who owns that; {VARIABLE} names another folder for the cache",
        )
    return freed


def _cleared(kind: Path, trouble: list[str]) -> int:
    """Delete the entries of a kind; the bytes set free. What could not be deleted is added to ``trouble``."""
    freed = 0
    with Folder(kind) as above:
        for name in _named(above):
            try:
                freed += _deleted(above, name)
            except OSError as error:
                trouble.append(f"{kind / name}: {error.strerror}")
    return freed


def _deleted(kind: Folder, name: str) -> int:
    """Delete an entry, but for what is not known to be part of it; the bytes set free. Raises OSError."""
    with kind.below(name) as folder:
        files, what = _told(folder)
        freed = delete(folder, files) if files is not None else 0
    if files is not None:
        with suppress(OSError):  # something is in it
            kind.rmdir(name)
    elif what:
        _LOG.warning("left in the cache, delete it yourself if it is not yours: %s, %s", kind.path / name, what)
    return freed


def _place(kind: str, facts: JsonObject) -> Path:
    return root() / kind / key_of(facts)


def _made(kind: str, facts: JsonObject, make: Callable[[Path], None], *, keep: bool) -> Path:
    """Return the entry, made; with ``keep``, another build's that was quicker stays."""
    folder = _place(kind, facts)
    with room(kind) as work:
        fresh = work / folder.name
        fresh.mkdir()
        make(fresh)
        record = {"edgepack": _version(), "facts": facts, "files": contents(fresh, without=_RECORD)}
        (fresh / _RECORD).write_text(json.dumps(record, indent=1, sort_keys=True), "utf-8")
        sync(fresh)
        state = signature(fresh)
        if keep and folder.is_dir() and not _problem(folder, facts):
            return folder
        put(fresh, folder, _files_of(folder))
        sync_folder(folder.parent)
    _checked[folder] = state
    return folder


def _problem(folder: Path, facts: JsonObject) -> str:
    """Say why the entry is not what was written, in a clause; "" where it is."""
    record = _record(folder)
    if record is None:
        return f"{_RECORD} cannot be read"
    if record["facts"] != json.loads(json.dumps(facts)):
        return f"{_RECORD} is another entry's"
    try:
        there = contents(folder, without=_RECORD)
    except OSError as error:
        return str(error.strerror or error)
    return next((f"{name} differs" for name in sorted({*there, *record["files"]}) if _differs(name, there, record)), "")


def _differs(name: str, there: Contents, record: JsonObject) -> bool:
    return bool(there.get(name) != record["files"].get(name))


def _record(folder: Path) -> JsonDict | None:
    """Return what the entry says of itself; None where that cannot be read."""
    try:
        with Folder(folder) as opened:
            return _read(opened, _RECORD)
    except (BundleError, OSError):
        return None


def _read(folder: Folder, name: str) -> JsonDict:
    """Raises OSError, BundleError."""
    table = documents.parse_json(documents.read_open(folder.open(name, os.O_RDONLY), folder.path / name), name)
    if name == _RECORD and not (
        isinstance(table, dict) and all(isinstance(table.get(key), dict) for key in ("facts", "files"))
    ):
        raise BundleError(f"{name} is not an entry's record")
    return manifest.checked(table, name) if name == MANIFEST else dict(table)


def _files_of(folder: Path) -> Collection[str] | None:
    """Return the files that the entry is known to consist of; None where there is none, or it does not tell."""
    try:
        with Folder(folder) as opened:
            return _told(opened)[0]
    except OSError:
        return None


def _told(folder: Folder) -> tuple[Collection[str] | None, str]:
    """Return the files that the entry is known to consist of, and its model.

    None for what is no entry, with the reason where it seems to be one. An entry's name is the hash of what it tells of
    itself, so that no other file of the record's name is taken for one. Raises OSError.
    """
    unpacked = folder.path.parent.name == UNPACKED
    mark = MANIFEST if unpacked else _RECORD
    try:
        table = _read(folder, mark)
    except FileNotFoundError:
        return None, ""
    except BundleError:
        return None, f"its {mark} is damaged"
    if unpacked:
        return [*table["files"], *BESIDE], "a bundle, unpacked"
    if key_of(table["facts"], table.get("edgepack")) != folder.path.name:
        return None, f"its {mark} is not of this entry"
    return [*table["files"], _RECORD], str(table["facts"].get("model", ""))


def _kinds() -> list[Path]:
    """Return the folders of the cache; a link is another folder."""
    place = root()
    try:
        inside = sorted(place.iterdir()) if place.is_dir() else []
        return [path for path in inside if path.is_dir() and not path.is_symlink()]
    except PermissionError as error:
        raise FileTrouble(f"the cache {place} cannot be read: {error.strerror}", hint=HINT) from error


def _named(kind: Folder) -> list[str]:
    """Return the folders in it that have the name of an entry."""
    return [name for name in kind.names() if _KEY.fullmatch(name) and stat.S_ISDIR(kind.stat(name).st_mode)]


def _version() -> str:
    return importlib.metadata.version("edgepack")
