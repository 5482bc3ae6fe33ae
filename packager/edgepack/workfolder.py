"""Hidden folders in which something is made before it is moved to its place, each held by a lock while its maker lives.

The lock is flock(2) on a file in the folder. The kernel gives it back when the process ends, however it ends, so a
folder whose lock can be had is a dead build's; no process number is looked at, which another container, machine or
program may have too. On NFS the lock holds between machines where the server keeps locks (NFSv4; NFSv3 with lockd, and
not mounted with ``nolock`` or ``local_lock``). Where a file system has no locks, nothing is swept.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

LOCK = "edgepack.lock"
_ENDING = "[a-z0-9_]{8}"  # that tempfile gives
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextmanager
def workfolder(parent: Path, prefix: str) -> Iterator[Path]:
    """Provide a new folder in ``parent``, locked, and gone with what is in it at the end."""
    folder, lock = _begin(parent, prefix)
    try:
        yield folder
    finally:
        try:
            _clear(folder)
        finally:
            os.close(lock)


def leftovers(parent: Path, prefix: str) -> list[Path]:
    """Return the folders that dead builds left in ``parent``."""
    found = []
    for folder, lock in _dead(parent, prefix):
        os.close(lock)
        found.append(folder)
    return found


def sweep(parent: Path, prefix: str, rescue: Callable[[Path], None] = lambda folder: None) -> None:
    """Delete the folders that dead builds left in ``parent``; ``rescue(folder)`` may first move something out."""
    for folder, lock in _dead(parent, prefix):
        try:
            rescue(folder)
            _clear(folder)
        finally:
            os.close(lock)


def remove(path: Path) -> None:
    """Delete whatever has this name: a folder with all in it, a file, a link, a FIFO; none is no error."""
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _begin(parent: Path, prefix: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        with suppress(FileNotFoundError):  # swept before it was locked
            lock = _locked(folder, os.O_CREAT, without=True)
            if lock is not None:
                return folder, lock


def _dead(parent: Path, prefix: str) -> Iterator[tuple[Path, int]]:
    """Yield the folders of dead builds, each locked by this process; empty ones had no lock yet, and go at once."""
    named = re.compile(f"{re.escape(prefix)}{_ENDING}")
    for folder in sorted(parent.iterdir() if parent.is_dir() else ()):
        if not named.fullmatch(folder.name) or folder.is_symlink() or not folder.is_dir():
            continue
        with suppress(OSError):  # it holds something, or is another's
            folder.rmdir()
        with suppress(OSError):  # a folder without our lock is not ours
            lock = _locked(folder, 0, without=False)
            if lock is not None:
                yield folder, lock


def _locked(folder: Path, create: int, *, without: bool) -> int | None:
    """Return the open lock of ``folder``; None where another has it, and unless ``without`` where there are no
    locks.
    """
    lock = os.open(folder / LOCK, os.O_RDWR | create | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        had = _flock(lock)
        if had if had is not None else without:
            (folder / LOCK).lstat()  # raises where it was swept before it was locked; the name is never used again
            return lock
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    return None


def _flock(lock: int) -> bool | None:
    """Return whether the lock was to be had; None where there are no locks."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


def _clear(folder: Path) -> None:
    """Delete a folder, its lock last: a kill in between leaves a folder that is known as ours."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name != LOCK:
            remove(path)
    with suppress(OSError):
        if [path.name for path in folder.iterdir()] == [LOCK]:  # else the next one tries again
            (folder / LOCK).unlink()
            folder.rmdir()
