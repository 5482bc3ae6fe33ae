"""Sizes as people write and read them."""

from __future__ import annotations

import re

_UNITS = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}


def parse_size(text: str | int) -> int:
    """Return bytes of "24 MB", "1.5 GiB" or a plain number. Raises ValueError for anything else."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    match = re.fullmatch(r"\s*([0-9.]{1,30})\s*([kKMG]i?B|B)\s*", text) if isinstance(text, str) else None
    if not match:
        raise ValueError(f"{text!r} is not a size; write it like '24 MB'")
    return int(float(match[1]) * _UNITS[match[2]])


def size(count: float) -> str:
    """Return "23.5 MB" of a number of bytes."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.{2 if unit == 'GB' else 1}f} {unit}"
    return f"{count:.0f} B"


def duration(seconds: float) -> str:
    """Return "4.2 ms" of a number of seconds."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.2f} ms"
