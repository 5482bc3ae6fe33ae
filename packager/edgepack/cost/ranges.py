"""The range of each figure that a bill is made of: what lies outside is a slip of the pen."""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.errors import UsageError


@dataclass(frozen=True)
class Range:
    """The numbers that a figure can be, both ends included, and its unit."""

    unit: str
    least: float
    most: float


_PRICE = 1e-6, 1e6  # a service that costs nothing has no bill
RANGES = {
    "requests": Range("requests a day", 1e-6, 1e12),
    "users": Range("daily users", 1, 1e10),
    "each": Range("requests of a user a day", 1e-6, 1e6),
    "per_thousand": Range("dollars for 1,000 requests", *_PRICE),
    "per_million_in": Range("dollars for a million input tokens", *_PRICE),
    "per_million_out": Range("dollars for a million output tokens", *_PRICE),
    "tokens_in": Range("input tokens of a request", 1, 1e8),
    "tokens_out": Range("output tokens of a request", 1, 1e8),
    "size": Range("bytes", 1, 1e13),
    "installs": Range("installs a year", 1, 1e11),
    "updates": Range("updates a year", 0, 1e4),
    "egress": Range("dollars for a GB", 0, 1e4),  # 0: a store delivers it
    "one_off": Range("dollars", 0, 1e12),
    "unable": Range("shares of the users", 0, 1),
    "memory": Range("bytes", 1, 1e15),
    "energy": Range("joules for a request", 1e-9, 1e9),
    "power": Range("watts", 1e-6, 1e5),
    "seconds": Range("seconds of a request", 1e-9, 1e6),
}


def check(**figures: float | None) -> None:
    """Raises UsageError, which names the option, for a figure outside its range; NaN is outside of each."""
    for name, value in figures.items():
        allowed = RANGES[name]
        if value is not None and not allowed.least <= value <= allowed.most:
            raise UsageError(
                f"--{name.replace('_', '-')}: {value:,g} is out of range, in {allowed.unit}",
                hint=f"give a number from {_written(allowed.least)} to {_written(allowed.most)}",
            )


def _written(bound: float) -> str:
    return f"{bound:,.9f}".rstrip("0").rstrip(".")
