"""The build cache: work that other targets, recipes and runs can use again.

An entry is a folder named after the hash of all that shaped it (model bytes, settings, tool versions, our own). It is
filled in a temporary sibling and renamed into place, so an entry is whole or absent, and two builds that
make the same entry at once both end with one good copy.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def root() -> Path:
    """The cache folder: EDGEPACK_CACHE, else edgepack below XDG_CACHE_HOME or ~/.cache."""
    own = os.environ.get("EDGEPACK_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgepack"


@dataclass(frozen=True)
class Entry:
    """One folder of the cache."""

    kind: str
    key: str
    bytes: int
    what: str


def key_of(facts: dict[str, Any]) -> str:
    """The name of the entry that ``facts`` (JSON values) lead to in this version of edgepack."""
    shaped = {**facts, "edgepack": importlib.metadata.version("edgepack")}
    return hashlib.sha256(json.dumps(shaped, sort_keys=True).encode()).hexdigest()[:32]


def fetch(kind: str, facts: dict[str, Any], make: Callable[[Path], None]) -> Path:
    """The folder of the entry; ``make(folder)`` fills it first when there is none.

    Whatever ``make`` raises passes through and leaves no entry.
    """
    folder = root() / kind / key_of(facts)
    if folder.is_dir():
        _touch(folder)
        return folder
    with _filling(folder) as fresh:
        make(fresh)
        (fresh / "facts.json").write_text(json.dumps(facts, indent=1, sort_keys=True), "utf-8")
    return folder


@contextmanager
def _filling(folder: Path) -> Iterator[Path]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        yield fresh
        try:
            fresh.rename(folder)
        except OSError:
            # another build was quicker: its entry holds the same bytes
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _touch(folder: Path) -> None:
    """Note the use, for ``clear(keep_days=…)``; a read-only cache is no error."""
    if os.access(folder, os.W_OK):
        os.utime(folder)


def entries() -> list[Entry]:
    """What is in the cache, largest first."""
    found = []
    for file in root().glob("*/*/facts.json"):
        size = sum(f.lstat().st_size for f in file.parent.rglob("*") if f.is_file())
        facts = json.loads(file.read_text("utf-8"))
        found.append(Entry(file.parents[1].name, file.parent.name, size, str(facts.get("model", ""))))
    return sorted(found, key=lambda entry: -entry.bytes)


def clear() -> int:
    """Delete every entry and what interrupted builds left behind; the bytes set free."""
    freed = sum(f.lstat().st_size for f in root().rglob("*") if f.is_file())
    shutil.rmtree(root(), ignore_errors=True)
    return freed
