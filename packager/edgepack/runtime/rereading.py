"""A bundle that is replaced while it is read is read again: what is opened is all of the old one or all of the new."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from edgepack.errors import BundleDamaged, BundleError

T = TypeVar("T")
_TRIES = 100


def steady(folder: Path, read: Callable[[], T]) -> T:
    """Return what ``read()`` gives, or raises, while nobody puts another folder in the place of ``folder``.

    Raises BundleDamaged where somebody always does.
    """
    for _ in range(_TRIES):
        before = _identity(folder)
        try:
            found = read()
        except (BundleError, OSError):
            if _identity(folder) == before:
                raise
            continue
        if _identity(folder) == before:
            return found
    raise BundleDamaged(f"{folder} is replaced again and again while it is read", hint="try again later")


def _identity(folder: Path) -> tuple[int, int, int] | None:
    """Return what tells a folder from the next one of its name; None where there is none."""
    try:
        state = folder.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino, state.st_ctime_ns
