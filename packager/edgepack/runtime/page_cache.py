"""Files out of the system's memory, so that opening them reads the disk as on a device that has just started."""

from __future__ import annotations

import os
from pathlib import Path

from edgepack.records import NotMeasured

_UNTOLD = NotMeasured(reason="this system cannot be asked to drop a file from its memory")
_KEPT = NotMeasured(reason="the system keeps the model's file in its memory")


def drop(model: Path) -> NotMeasured | None:
    """Ask the system to drop the files of ``model`` from its memory; why it did not, or None.

    Those are all that begin with its name, such as weights beside it, or all of a folder. Pages that were not written
    to the disk yet stay, and those that another process has mapped.
    """
    if not hasattr(os, "RWF_NOWAIT"):
        return _UNTOLD
    beside = model.rglob("*") if model.is_dir() else model.parent.glob(f"{model.stem}*")
    try:
        dropped = [_drop(file) for file in beside if file.is_file()]
    except OSError:
        return _UNTOLD
    return None if all(dropped) else _KEPT


def _drop(file: Path) -> bool:
    """Return whether the file's first and last bytes had to be read from the disk afterwards."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        return not any(_held(descriptor, place) for place in (0, size // 2, size - 1) if size)
    finally:
        os.close(descriptor)


def _held(descriptor: int, place: int) -> bool:
    """Return whether a byte can be read without waiting for the disk (preadv2(2), RWF_NOWAIT)."""
    try:
        return os.preadv(descriptor, [bytearray(1)], place, os.RWF_NOWAIT) == 1
    except BlockingIOError:
        return False
