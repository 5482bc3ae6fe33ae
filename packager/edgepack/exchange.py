"""Put a new file or folder in the place of another in one step, where the system can: no reader finds the name missing.

Linux has renameat2(2) with RENAME_EXCHANGE, macOS renamex_np(2) with RENAME_SWAP; network file systems have neither.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_HERE = -100  # AT_FDCWD of Linux
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS
# "cannot": the kernel, the file system, the file system with these flags, overlayfs with what lies in an image
_CANNOT = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EXDEV}


# another has the name: a folder that holds something, a file
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR}


def replace(fresh: Path, place: Path, aside: Path, check: Callable[[Path], None] = lambda place: None) -> None:
    """Move ``fresh`` to ``place``; what stood there ends up as ``fresh`` or as ``aside``, whose folder is to be there.

    ``check(place)`` raises where what stands there has to stay. Where the two cannot change places in one step, the one
    is renamed after the other. Others may do the same at once: the last one stays.
    """
    check(place)
    while not move(fresh, place):
        with suppress(FileNotFoundError):  # another took away what stood there
            if exchange(fresh, place) or _renamed_twice(fresh, place, aside):
                return
        check(place)


def move(fresh: Path, place: Path) -> bool:
    """Rename ``fresh`` to ``place``; False where that has something."""
    try:
        fresh.rename(place)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True


def _renamed_twice(fresh: Path, place: Path, aside: Path) -> bool:
    """Return whether it was done; not where another put its own there between the two renames."""
    if os.path.lexists(aside):
        aside.rename(aside.with_name(f"{aside.name}-{time.monotonic_ns()}"))  # of an earlier turn
    place.rename(aside)
    try:
        return move(fresh, place)
    except BaseException:
        move(aside, place)
        raise


def exchange(one: Path, other: Path) -> bool:
    """Let ``one`` and ``other`` change places; False where the system or the file system cannot.

    Both may be anything that has a name; a link itself is moved. Raises OSError, FileNotFoundError for one not there.
    """
    code = _call(os.fsencode(one), os.fsencode(other))
    if code in _CANNOT:
        return False
    if code:
        raise OSError(code, os.strerror(code), str(one), None, str(other))
    return True


def _call(one: bytes, other: bytes) -> int:
    """Return the system's error number, 0 for none."""
    if sys.platform not in ("linux", "darwin"):
        return errno.ENOSYS
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        failed = library.renamex_np(one, other, _EXCHANGE)
    elif hasattr(library, "renameat2"):
        failed = library.renameat2(_HERE, one, _HERE, other, _EXCHANGE)
    else:
        return errno.ENOSYS
    return ctypes.get_errno() if failed else 0
