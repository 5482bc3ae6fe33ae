"""Sizes, times, energies and money as people write and read them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

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
_SIZE = re.compile(r"\s*([0-9]{1,30}\.?[0-9]{0,30}|\.[0-9]{1,30})\s*([kKMG]i?B|B)\s*")
_SECONDS = {"ms": 1e-3, "s": 1.0}
_JOULES = {"mJ": 1e-3, "J": 1.0, "kJ": 1e3, "mWh": 3.6, "Wh": 3.6e3, "kWh": 3.6e6}
_WATTS = {"mW": 1e-3, "W": 1.0, "kW": 1e3}


def parse_size(text: str | int) -> int:
    """Return bytes of "24 MB", "1.5 GiB" or a plain number. Raises ValueError for anything else."""
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if not match:
        raise ValueError(f"{text!r} is not a size; write it like '24 MB'")
    return int(float(match[1]) * _UNITS[match[2]])


def size(count: float) -> str:
    """Return "23.5 MB" of a number of bytes."""
    for unit, factor in (("PB", 10**15), ("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.{1 if unit in ('MB', 'kB') else 2}f} {unit}"
    return f"{count:.0f} B"


def duration(seconds: float) -> str:
    """Return "4.20 ms" of a number of seconds."""
    if 0 < seconds < 1e-4:
        return f"{seconds * 1e6:.1f} µs"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.2f} ms"


def sizes(counts: Sequence[float]) -> tuple[list[str], str]:
    """Return numbers of bytes in one unit, and the unit: (["22.9", "91.0"], "MB")."""
    return _in_one_unit(counts, {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12})


def durations(seconds: Sequence[float]) -> tuple[list[str], str]:
    """Return numbers of seconds in one unit, and the unit: (["0.12", "76.30"], "ms")."""
    return _in_one_unit(seconds, {"µs": 1e-6, "ms": 1e-3, "s": 1})


def _in_one_unit(values: Sequence[float], units: Mapping[str, float]) -> tuple[list[str], str]:
    """Write ``values`` in the unit of the smallest, or in a larger one where the largest would have five digits.

    All have as many digits behind the point as the smallest needs for three in all, and three at most.
    """
    largest, least = max(values), min((value for value in values if value), default=1)
    fitting = [unit for unit, factor in units.items() if least >= factor and largest < 1e4 * factor]
    larger = (unit for unit, factor in units.items() if largest < 1e4 * factor)
    unit = fitting[-1] if fitting else next(larger, [*units][-1])
    digits = min(max(2 - math.floor(math.log10(least / units[unit])), 0), 0 if unit == "B" else 3)
    return [f"{value / units[unit]:,.{digits}f}" for value in values], unit


def parse_duration(text: str) -> float:
    """Return seconds of "12 ms" or "1.5 s". Raises ValueError for anything else."""
    return _parsed(text, _SECONDS, "a time; write it like '12 ms' or '1.5 s'")


def parse_energy(text: str) -> float:
    """Return joules of "40 J" or "11 mWh". Raises ValueError for anything else."""
    return _parsed(text, _JOULES, "an energy; write it like '40 J' or '11 mWh'")


def parse_power(text: str) -> float:
    """Return watts of "6 W" or "800 mW". Raises ValueError for anything else."""
    return _parsed(text, _WATTS, "a power; write it like '6 W'")


def energy(joules: float) -> str:
    """Return "40 J" or "2.5 kWh" of a number of joules."""
    for unit, factor in (("GWh", 3.6e12), ("MWh", 3.6e9), ("kWh", 3.6e6), ("Wh", 3.6e3), ("J", 1.0)):
        if joules >= factor:
            return f"{joules / factor:,.4g} {unit}"
    return f"{joules * 1e3:.4g} mJ"


def money(dollars: float) -> str:
    """Return "$5,475,000" of a number of US dollars, with cents below 1,000 and two digits below a cent."""
    sign, amount = "−" if dollars < 0 else "", abs(dollars)
    if amount >= 999.995:
        return f"{sign}${amount:,.0f}"
    return f"{sign}${amount:.2f}" if amount >= 0.01 or amount == 0 else f"{sign}${amount:.2g}"


def price(dollars: float) -> str:
    """Return "$0.085" of a price in US dollars, with all its digits and at least the cents."""
    whole, _, part = f"{dollars:,.10f}".rstrip("0").partition(".")
    return f"${whole}.{part:0<2}"


def _parsed(text: str, units: Mapping[str, float], wanted: str) -> float:
    match = re.fullmatch(r"\s*([0-9.]{1,30})\s*([a-zA-Z]{1,3})\s*", text)
    if not match or match[2] not in units:
        raise ValueError(f"{text!r} is not {wanted}")
    try:
        return float(match[1]) * units[match[2]]
    except ValueError:
        raise ValueError(f"{text!r} is not {wanted}") from None
