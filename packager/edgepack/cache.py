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
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgepack import documents
from edgepack.contents import Contents, Signature, contents, signature
from edgepack.documents import JsonDict, JsonObject
from edgepack.durable import sync, sync_folder
from edgepack.errors import BundleError
from edgepack.exchange import replace
from edgepack.runtime.manifest import MANIFEST
from edgepack.workfolder import leftovers, sweep, workfolder

_LOG = logging.getLogger(__name__)
_PREFIX, _RECORD = ".new-", "facts.json"
_KEY = re.compile("[0-9a-f]{32}")
_UNPACKED = "bundles"  # by runtime/archive.py
_LEFT = "left by a build that was stopped"
_checked: dict[Path, Signature] = {}  # entries that this process has hashed


def root() -> Path:
    """Return the cache folder: EDGEPACK_CACHE, else edgepack below XDG_CACHE_HOME or ~/.cache."""
    own = os.environ.get("EDGEPACK_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgepack"


@dataclass(frozen=True)
class Entry:
    """One folder of the cache."""

    kind: str
    key: str
    bytes: int
    what: str


def key_of(facts: JsonObject) -> str:
    """Return the name of the entry that ``facts`` (JSON values) lead to in this version of edgepack."""
    shaped = {**facts, "edgepack": importlib.metadata.version("edgepack")}
    return hashlib.sha256(json.dumps(shaped, sort_keys=True).encode()).hexdigest()[:32]


def fetch(kind: str, facts: JsonObject, make: Callable[[Path], None]) -> Path:
    """Return the folder of the entry; ``make(folder)`` fills it first when there is none that is whole.

    Whatever ``make`` raises passes through and leaves no entry.
    """
    return find(kind, facts) or _made(kind, facts, make, keep=True)


def find(kind: str, facts: JsonObject) -> Path | None:
    """Return the folder of the entry; None where there is none, or none that is as it was written, which is noted."""
    folder = _place(kind, facts)
    sweep(folder.parent, _PREFIX)
    if not folder.is_dir():
        return None
    state = signature(folder)
    if _checked.get(folder) != state:
        if problem := _problem(folder, facts):
            _LOG.warning("an entry of the cache is damaged and will be made again: %s, %s", folder, problem)
            return None
        _checked[folder] = state
    return folder


def store(kind: str, facts: JsonObject, make: Callable[[Path], None]) -> Path:
    """Return the folder of the entry, filled by ``make(folder)`` in place of an earlier one."""
    sweep(root() / kind, _PREFIX)
    return _made(kind, facts, make, keep=False)


def entries() -> list[Entry]:
    """Return what is in the cache, largest first, and what builds that were stopped have left there."""
    found = []
    for kind in _kinds():
        for folder in leftovers(kind, _PREFIX):
            found.append(Entry(kind.name, folder.name, sum(map(_bytes, folder.rglob("*"))), _LEFT))
        for folder in _ours(kind):
            files = list(folder.rglob("*"))
            found.append(Entry(kind.name, folder.name, sum(map(_bytes, files)), _model(folder)))
    return sorted(found, key=lambda entry: -entry.bytes)


def clear() -> int:
    """Delete every entry and what builds that were stopped have left; the bytes set free.

    Nothing else goes: neither other files in the cache's folder nor what was put into an entry.
    """
    freed = 0
    for kind in _kinds():
        for left in leftovers(kind, _PREFIX):
            freed += sum(map(_bytes, left.rglob("*")))
        sweep(kind, _PREFIX)
        for folder in _ours(kind):
            freed += _emptied(folder)
        with suppress(OSError):  # something is in it
            kind.rmdir()
    _checked.clear()
    return freed


def _place(kind: str, facts: JsonObject) -> Path:
    return root() / kind / key_of(facts)


def _made(kind: str, facts: JsonObject, make: Callable[[Path], None], *, keep: bool) -> Path:
    """Return the entry, made; with ``keep``, another build's that was quicker stays."""
    folder = _place(kind, facts)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with workfolder(folder.parent, _PREFIX) as work:
        fresh = work / folder.name
        fresh.mkdir()
        make(fresh)
        record = {"facts": facts, "files": contents(fresh, without=_RECORD)}
        (fresh / _RECORD).write_text(json.dumps(record, indent=1, sort_keys=True), "utf-8")
        sync(fresh)
        state = signature(fresh)
        if keep and folder.is_dir() and not _problem(folder, facts):
            return folder
        replace(fresh, folder, work / "old")
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
        table = documents.read_object(folder / _RECORD)
    except BundleError:
        return None
    whole = all(isinstance(table.get(key), dict) for key in ("facts", "files"))
    return table if whole else None


def _kinds() -> list[Path]:
    return sorted(path for path in root().iterdir() if path.is_dir()) if root().is_dir() else []


def _ours(kind: Path) -> Iterator[Path]:
    """Yield the entries in a folder of the cache, and the bundles that were unpacked there."""
    for folder in sorted(kind.iterdir()):
        if _KEY.fullmatch(folder.name) and not folder.is_symlink() and folder.is_dir():
            mark = folder / (MANIFEST if kind.name == _UNPACKED else _RECORD)
            if mark.is_file() and not mark.is_symlink():
                yield folder


def _model(folder: Path) -> str:
    if folder.parent.name == _UNPACKED:
        return "a bundle, unpacked"
    record = _record(folder)
    return "damaged" if record is None else str(record["facts"].get("model", ""))


def _emptied(folder: Path) -> int:
    """Delete an entry's files, and the folder where nothing else is in it; the bytes set free.

    All are the entry's where it does not say which.
    """
    record, freed = _record(folder), 0
    files = [path for path in sorted(folder.rglob("*"), reverse=True) if path.is_symlink() or not path.is_dir()]
    named = {_RECORD, *record["files"]} if record is not None else None
    for file in files:
        if named is None or file.relative_to(folder).as_posix() in named:
            size = _bytes(file)
            with suppress(OSError):
                file.unlink()
                freed += size
    for place in [*sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True), folder]:
        with suppress(OSError):
            place.rmdir()
    return freed


def _bytes(path: Path) -> int:
    """Return what deleting ``path`` sets free."""
    state = path.lstat()
    return state.st_size if stat.S_ISREG(state.st_mode) and state.st_nlink == 1 else 0
