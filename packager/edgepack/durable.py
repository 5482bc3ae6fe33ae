"""Files that outlast a power failure: what is renamed into place is on the disk before its name is."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# file systems that write a folder's names by themselves, or that cannot tell (FUSE, network)
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}


def sync(folder: Path) -> None:
    """Write every file and folder below ``folder`` to the disk (fsync), several at a time."""
    folders, files = [folder], []
    for where, below, names in os.walk(folder):
        folders += [Path(where, name) for name in below if not Path(where, name).is_symlink()]
        files += [file for name in names if not (file := Path(where, name)).is_symlink()]
    with ThreadPoolExecutor() as pool:
        list(pool.map(_sync, files))
    for path in reversed(folders):
        sync_folder(path)


def sync_folder(folder: Path) -> None:
    """Write the names in ``folder`` to the disk, where the system opens folders."""
    if os.name == "posix":
        _sync(folder)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(opened)
