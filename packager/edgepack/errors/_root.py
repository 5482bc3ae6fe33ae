"""The class of every deliberate failure, what ends a command by itself, and the nearest of known names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], *, least: float = 0.65) -> str | None:
    """Return the known name most like ``name``, or None when none is near: a slip of the pen, or (0.5) of the same
    family.
    """
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=least)
    return matches[0] if matches else None


class EdgepackError(Exception):
    """A deliberate failure: ``str(error)`` is one line, ``hint`` says what to do about it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Interrupted(BaseException):
    """Ctrl-C: not an Exception, since libraries catch those and go on, or make others of them."""

    exit_code = 130

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Unexpected(EdgepackError):
    """A mistake in edgepack itself or in a plug-in: an exception that nobody foresaw."""

    exit_code = 70
