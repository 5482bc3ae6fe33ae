"""Two files or folders change places in one step, where the system can: no reader finds either name missing.

Linux has renameat2(2) with RENAME_EXCHANGE, macOS renamex_np(2) with RENAME_SWAP; network file systems have neither.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

_HERE = -100  # AT_FDCWD of Linux
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS
# "cannot": the kernel, the file system, the file system with these flags, overlayfs with what lies in an image
_CANNOT = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EXDEV}


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
    """The system's error number, 0 for none."""
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        failed = library.renameat2(_HERE, one, _HERE, other, _EXCHANGE)
    elif sys.platform == "darwin":
        failed = library.renamex_np(one, other, _EXCHANGE)
    else:
        return errno.ENOSYS
    return ctypes.get_errno() if failed else 0
