"""Checks of a caller's arguments before they are used: an error names the argument, in one line."""

from __future__ import annotations

import math
import numbers
import os
from pathlib import Path

import numpy as np

from edgepack.arrays import Array
from edgepack.documents import Json
from edgepack.errors import BundleError, UsageError

_TEXTS = "a text that is not empty, or a list of such"


def whole(name: str, value: Json, least: int, range_: str = "") -> int:
    """Return ``value`` as an int, NumPy's too, of ``least`` or more. Raises UsageError."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise _wrong(name, value, range_ or f"a whole number, {least} or more")
    return int(value)


def number(name: str, value: Json, range_: str) -> float:
    """Return ``value`` as a float that is finite. Raises UsageError, which says that it must be ``range_``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise _wrong(name, value, range_)
    try:
        made = float(value)
    except (OverflowError, ValueError):
        made = math.inf
    if not math.isfinite(made):
        raise _wrong(name, value, range_)
    return made


def switch(name: str, value: Json) -> bool:
    """Return ``value``, a bool. Raises UsageError."""
    if not isinstance(value, bool):
        raise _wrong(name, value, "True or False")
    return value


def text(name: str, value: Json) -> str:
    """Return ``value``, a str. Raises UsageError."""
    if not isinstance(value, str):
        raise _wrong(name, value, "a text")
    return value


def texts(name: str, value: Json) -> tuple[str, ...]:
    """Return a str or a list of them, none of them empty. Raises UsageError."""
    given = (value,) if isinstance(value, str) else value
    if not isinstance(given, list | tuple):
        raise _wrong(name, value, _TEXTS)
    for index, one in enumerate(given):
        if not isinstance(one, str) or not one:
            raise _wrong(name if given is not value else f"{name}[{index}]", one, _TEXTS)
    return tuple(given)


def vector(name: str, value: Json) -> Array:
    """Return ``value`` as float64 [width]. Raises UsageError."""
    try:
        made = np.asarray(value)
    except Exception as error:  # whatever an object by others raises
        raise _wrong(name, value, "a vector of numbers") from error
    if made.ndim != 1 or made.dtype.kind not in "fiu":
        raise _wrong(name, value, "a vector of numbers")
    return made.astype(np.float64)


def path(name: str, value: Json) -> Path:
    """Return ``value`` as a path that a system can have. Raises UsageError for another type, BundleError."""
    if not isinstance(value, str | Path):
        raise _wrong(name, value, "a path")
    try:
        made = Path(value).expanduser()
        os.stat(made)
    except FileNotFoundError:
        return made
    except (OSError, RuntimeError, ValueError) as error:  # too long, not a folder on the way; no such home; a NUL
        said = error.strerror if isinstance(error, OSError) else error
        raise BundleError(f"{name} {str(value)[:60]!r} cannot be opened: {said}") from error
    return made


def _wrong(name: str, value: Json, range_: str) -> UsageError:
    if isinstance(value, list | tuple) and value:
        value, name = value[0], f"{name}[0]"
    plain = isinstance(value, str | bytes | int | float | type(None))
    said = f"{value!r:.60}" if plain and not (isinstance(value, int) and value.bit_length() > 200) else ""
    return UsageError(f"{name} is {said or f'a {type(value).__name__}'}", hint=f"it must be {range_}")
