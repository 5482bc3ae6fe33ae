"""The contents of a folder, by name, size and SHA-256: written down when it is made, and compared when it is used."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_CHUNK, _PART = 1 << 20, 1 << 24  # bytes; parts of a file are hashed side by side

Contents = dict[str, list[int | str]]  # name -> [bytes, hash], or ["link", where it leads]
Signature = tuple[tuple[str, int, int, int], ...]  # of each file: name, bytes, time of change in ns, inode


def contents(folder: Path, *, without: str) -> Contents:
    """Return every file and link below ``folder`` but the file named ``without`` in it.

    A file's hash is the SHA-256 of its parts' SHA-256, so that a large one takes all processors.
    """
    found: Contents = {}
    files = []
    for name, state in _below(folder, without):
        if stat.S_ISREG(state.st_mode):
            files.append((name, state.st_size))
        else:
            found[name] = ["link", os.readlink(folder / name)] if stat.S_ISLNK(state.st_mode) else ["other", ""]
    parts = [(folder / name, start) for name, size in files for start in range(0, size, _PART)]
    with ThreadPoolExecutor() as pool:
        digests = pool.map(_part_digest, parts)
        for name, size in files:
            total = hashlib.sha256()
            for _ in range(0, size, _PART):
                total.update(next(digests))
            found[name] = [size, total.hexdigest()]
    return found


def signature(folder: Path) -> Signature:
    """Return what changes with any change to a file below ``folder`` that goes through the file system."""
    return tuple((name, state.st_size, state.st_mtime_ns, state.st_ino) for name, state in _below(folder, ""))


def _below(folder: Path, without: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the name and the state of all that is no folder; links are not followed."""
    for path in sorted(folder.rglob("*")):
        state, name = path.lstat(), path.relative_to(folder).as_posix()
        if not stat.S_ISDIR(state.st_mode) and name != without:
            yield name, state


def _part_digest(part: tuple[Path, int]) -> bytes:
    file, start = part
    total, left = hashlib.sha256(), _PART
    with file.open("rb") as stream:
        stream.seek(start)
        while left and (chunk := stream.read(min(_CHUNK, left))):
            total.update(chunk)
            left -= len(chunk)
    return total.digest()
