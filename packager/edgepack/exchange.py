"""Put a new file or folder in its place so that nothing is replaced unseen, and in one step where the system can.

What had the name is looked at before and, once it has come out, again: what may not be replaced goes back. A name that
is free is taken only while it is free. Linux has renameat2(2) for both (RENAME_EXCHANGE, RENAME_NOREPLACE), macOS
renameatx_np(2) (RENAME_SWAP, RENAME_EXCL). Network file systems have neither: there two renames follow each other, and
a free name is taken by link(2), for a folder by a look and a rename.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edgepack.folder import Folder

_HERE = -2 if sys.platform == "darwin" else -100  # AT_FDCWD
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS
_EXCLUSIVE = {"linux": 1, "darwin": 4}.get(sys.platform, 0)  # RENAME_NOREPLACE, RENAME_EXCL
# "cannot": the kernel, the file system, the file system with these flags, overlayfs with what lies in an image
_CANNOT = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EXDEV}
# another has the name: a folder that holds something, a file
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR}
Check = Callable[[Path], None]


def replace(fresh: Path, place: Path, aside: Path, check: Check = lambda place: None) -> None:
    """Move ``fresh`` to ``place``; what stood there ends up as ``fresh`` or as ``aside``, whose folder is to be there.

    ``check(path)`` raises where what it finds there has to stay; the last parts of the three paths are the same, for
    checks that go by the name. It is asked about the place, and about what came out of it, which goes back if it
    raises. Others may do the same at once: the last one stays.
    """
    check(place)
    while not move(fresh, place):
        with suppress(FileNotFoundError):  # another took away what stood there
            check(place)
            if _exchanged(fresh, place, check) or _renamed_twice(fresh, place, aside, check):
                return


def move(fresh: Path, place: Path, folder: Folder | None = None) -> bool:
    """Rename ``fresh``, a name in ``folder`` if that is given, to ``place``; False where that has something."""
    source, at = (fresh, None) if folder is None else folder.at(fresh.name)
    code = _call(source, place, _EXCLUSIVE, at)
    if code in _CANNOT:
        code = _moved(source, place, at)
    if code and code not in _TAKEN:
        raise OSError(code, os.strerror(code), str(fresh), None, str(place))
    return not code


def _moved(source: str | Path, place: Path, at: int | None) -> int:
    """Do the same where the system has no such rename; the error's number, 0 for none."""
    try:
        if not stat.S_ISDIR(os.stat(source, dir_fd=at, follow_symlinks=False).st_mode):
            with suppress(PermissionError, NotImplementedError):  # a file system without links
                os.link(source, place, src_dir_fd=at, follow_symlinks=False)
                os.unlink(source, dir_fd=at)
                return 0
        if os.path.lexists(place):
            return errno.EEXIST
        os.rename(source, place, src_dir_fd=at)
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _exchanged(fresh: Path, place: Path, check: Check) -> bool:
    """Return whether the two could change places; ``fresh`` is then what stood there, and may be replaced."""
    own = _identity(fresh)
    if not exchange(fresh, place):
        return False
    try:
        check(fresh)
    except BaseException:
        with suppress(FileNotFoundError):  # somebody took ours away
            exchange(fresh, place)
        if _identity(fresh) != own:
            keep(fresh, place)
        check(place)  # raises with the name that people know
        raise
    return True


def _renamed_twice(fresh: Path, place: Path, aside: Path, check: Check) -> bool:
    """Return whether it was done; not where another put its own there between the two renames."""
    if os.path.lexists(aside):
        aside.rename(aside.with_name(f"{aside.name}-{time.monotonic_ns()}"))  # of an earlier turn
    place.rename(aside)
    try:
        check(aside)
        return move(fresh, place)
    except BaseException:
        keep(aside, place)
        check(place)
        raise


def keep(held: Path, place: Path) -> None:
    """Put what is another's back where it was; where that is taken, beside it."""
    beside = (place.with_name(f"{place.name}.kept-{number}") for number in itertools.count(1))
    any(move(held, free) for free in itertools.chain([place], beside))


def _identity(path: Path) -> tuple[int, int, int]:
    """Return what tells one thing from the next of its name, whose inode may be the same again."""
    state = path.lstat()
    return state.st_dev, state.st_ino, state.st_mtime_ns


def exchange(one: Path, other: Path) -> bool:
    """Let ``one`` and ``other`` change places; False where the system or the file system cannot.

    Both may be anything that has a name; a link itself is moved. Raises OSError, FileNotFoundError for one not there.
    """
    code = _call(one, other, _EXCHANGE)
    if code in _CANNOT:
        return False
    if code:
        raise OSError(code, os.strerror(code), str(one), None, str(other))
    return True


def _call(one: str | Path, other: Path, flag: int, at: int | None = None) -> int:
    """Return the system's error number, 0 for none; ``one`` is looked for in the folder with the descriptor ``at``."""
    if sys.platform not in ("linux", "darwin"):
        return errno.ENOSYS
    library, names = ctypes.CDLL(None, use_errno=True), (os.fsencode(one), os.fsencode(other))
    if sys.platform == "darwin":
        failed = library.renameatx_np(_HERE if at is None else at, names[0], _HERE, names[1], flag)
    elif hasattr(library, "renameat2"):
        failed = library.renameat2(_HERE if at is None else at, names[0], _HERE, names[1], flag)
    else:
        return errno.ENOSYS
    return ctypes.get_errno() if failed else 0
