"""Hidden folders in which something is made before it is moved to its place, each held by a lock while its maker lives.

The lock is flock(2) on a file in the folder. The kernel gives it back when the process ends, however it ends, so a
folder whose lock can be had is a dead build's; no process number is looked at, which another container, machine or
program may have too. What is deleted is found by descriptors (folder.py), never by a path that somebody may turn into a
link meanwhile. On NFS the lock holds between machines where the server keeps locks (NFSv4; NFSv3 with lockd, and
not mounted with ``nolock`` or ``local_lock``). Where a file system has no locks, nothing is swept.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgepack.folder import Folder, size

if sys.platform != "win32":
    import fcntl

LOCK = "edgepack.lock"
_ENDING = "[a-z0-9_]{8}"  # of a name, and of those that tempfile gave
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextmanager
def workfolder(parent: Path, prefix: str) -> Iterator[Path]:
    """Provide a new folder in ``parent``, locked, and gone with what is in it at the end.

    ``parent`` is made where there is none: another build that failed may have deleted it meanwhile.
    """
    path = parent / f"{prefix}{secrets.token_hex(4)}"  # known before it is there: a signal may come at any moment
    held = None
    try:
        held = _begin(path)
        yield path
    finally:
        if held:
            _end(*held)
        else:
            _unmake(path)


def leftovers(parent: Path, prefix: str) -> list[tuple[Path, int]]:
    """Return the folders that dead builds left in ``parent``, and their bytes."""
    found = []
    for folder, lock in _dead(parent, prefix):
        found.append((folder.path, _bytes(folder)))
        folder.close()
        os.close(lock)
    return found


def sweep(parent: Path, prefix: str, rescue: Callable[[Folder], None] = lambda folder: None) -> int:
    """Delete the folders that dead builds left in ``parent``; the bytes set free.

    ``rescue(folder)`` may first move something out.
    """
    freed = 0
    for folder, lock in _dead(parent, prefix):
        try:
            rescue(folder)
            freed += _bytes(folder)
        finally:
            _end(folder, lock)
    return freed


def _begin(path: Path) -> tuple[Folder, int]:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # its parent was deleted, or it was swept before it was locked
            path.mkdir(0o700)
            folder = Folder(path)
            lock = _locked(folder, os.O_CREAT, without=True)
            if lock is not None:
                return folder, lock
            folder.close()


def _unmake(path: Path) -> None:
    """Delete a folder that was only begun."""
    with suppress(OSError):
        (path / LOCK).unlink(missing_ok=True)
        path.rmdir()


def _dead(parent: Path, prefix: str) -> Iterator[tuple[Folder, int]]:
    """Yield the folders of dead builds, each locked by this process; empty ones had no lock yet, and go at once."""
    named = re.compile(f"{re.escape(prefix)}{_ENDING}")
    for path in sorted(parent.iterdir() if parent.is_dir() else ()):
        if not named.fullmatch(path.name):
            continue
        with suppress(OSError):  # it holds something, is another's, a link or a file
            path.rmdir()
        with suppress(OSError):  # a folder without our lock is not ours, nor is a link
            folder = Folder(path)
            lock = _locked(folder, 0, without=False)
            if lock is not None:
                yield folder, lock
            else:
                folder.close()


def _locked(folder: Folder, create: int, *, without: bool) -> int | None:
    """Return the open lock of ``folder``; None where another has it, and unless ``without`` where there are no
    locks.

    Closes ``folder`` where it raises.
    """
    lock = None
    try:
        lock = folder.open(LOCK, os.O_RDWR | create, 0o600)
        had = take(lock)
        if had if had is not None else without:
            folder.stat(LOCK)  # raises where it was swept before it was locked; the name is never used again
            return lock
    except BaseException:
        if lock is not None:
            os.close(lock)
        folder.close()
        raise
    os.close(lock)
    return None


def take(lock: int) -> bool | None:
    """Lock an open file; False where another process has it, None where there are no locks. Raises OSError."""
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


def _end(folder: Folder, lock: int) -> None:
    """Delete a folder, its lock last: a kill in between leaves a folder that is known as ours."""
    try:
        for name in folder.names():
            if name != LOCK:
                folder.remove(name)
        with suppress(OSError):
            if folder.names() == [LOCK]:  # else the next one tries again
                folder.unlink(LOCK)
                folder.path.rmdir()  # no link that was put there, nor a folder that holds something
    finally:
        folder.close()
        os.close(lock)


def _bytes(folder: Folder) -> int:
    with suppress(OSError):  # another deletes it
        return sum(size(state) for _, state in folder.walk())
    return 0
