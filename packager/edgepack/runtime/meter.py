"""The energy that a machine's own meters count: RAPL of x86 processors, by Linux's powercap.

https://docs.kernel.org/power/powercap/powercap.html. A package's counter holds all that its cores, caches and memory
controllers used, for other programs too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from edgepack.records import NotMeasured

_ZONES = Path("/sys/class/powercap")
_LEAST = 0.1  # seconds: counters are renewed every millisecond or so
_NONE = NotMeasured(reason="this machine has no energy meter")
_FORBIDDEN = NotMeasured(reason="this user may not read the machine's energy meter")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The counters of all packages, microjoules, and where each begins again."""

    counters: tuple[tuple[int, int], ...]

    @classmethod
    def now(cls) -> Self | NotMeasured:
        """Return the counters now, or why there are none."""
        zones = sorted(zone for zone in _ZONES.glob("intel-rapl:*") if zone.name.count(":") == 1)
        try:
            packages = [zone for zone in zones if (zone / "name").read_text().startswith("package")]
            counters = tuple((_number(zone / "energy_uj"), _number(zone / "max_energy_range_uj")) for zone in packages)
        except PermissionError:
            return _FORBIDDEN
        except (OSError, ValueError):
            return _NONE
        return cls(counters=counters) if counters else _NONE

    def until(self, after: Reading) -> float:
        """Return the joules from this reading to one ``after`` it; a counter begins again once at most."""
        each = zip(self.counters, after.counters, strict=True)
        return sum((end - start) % (highest + 1) for (start, highest), (end, _) in each) / 1e6


def each(before: Reading | NotMeasured, after: Reading | NotMeasured, runs: int, seconds: float) -> float | NotMeasured:
    """Return the joules of one of ``runs`` that took ``seconds`` together, between two readings."""
    if isinstance(before, NotMeasured):
        return before
    if isinstance(after, NotMeasured):
        return after
    if seconds < _LEAST:
        return NotMeasured(reason=f"{seconds * 1000:.0f} ms of runs are too few for the energy meter")
    return before.until(after) / runs


def _number(file: Path) -> int:
    return int(file.read_text())
