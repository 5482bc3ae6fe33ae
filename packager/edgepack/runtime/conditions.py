"""The state of a machine while something is measured: its heat and frequency, and who used its processors."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from edgepack.records import Conditions
from edgepack.runtime import android
from edgepack.runtime.programs import said

_ZONES = Path("/sys/class/thermal")
_PROCESSORS = Path("/sys/devices/system/cpu")
_STAT = Path("/proc/stat")
_TASKS = Path("/proc/self/task")


@dataclass(frozen=True, kw_only=True)
class Counters:
    """Seconds since some moment; None: this machine does not tell."""

    wall: float
    own: float | None  # of processors, that this process used
    others: float | None  # of processors, that other programs used
    stolen: float | None  # of processors, that the host of this virtual machine gave to others
    waited: float | None  # that threads of this process were ready to run and waited for a processor

    @classmethod
    def now(cls) -> Self:
        """Read them (proc(5): /proc/stat, /proc/self/task/*/schedstat)."""
        own = time.process_time()
        busy = _busy()
        others, stolen = (None, None) if busy is None else (busy[0] - own, busy[1])
        return cls(wall=time.monotonic(), own=own, others=others, stolen=stolen, waited=_waited())

    def until(self, after: Counters) -> Counters:
        """Return what was counted from here to ``after``."""
        return Counters(
            wall=after.wall - self.wall,
            own=_less(after.own, self.own),
            others=_less(after.others, self.others),
            stolen=_less(after.stolen, self.stolen),
            waited=_less(after.waited, self.waited),
        )


def now() -> Conditions:
    """Return the state of this machine."""
    frequencies = list(_numbers(_PROCESSORS.glob("cpu[0-9]*/cpufreq/scaling_cur_freq")))
    highest = list(_numbers(_PROCESSORS.glob("cpu[0-9]*/cpufreq/cpuinfo_max_freq")))
    heat = list(_numbers(_ZONES.glob("thermal_zone*/temp")))
    headroom = [left for zone in _ZONES.glob("thermal_zone*") for left in _headroom(zone)]
    phone = android.thermal()
    return Conditions(
        load=_load(),
        governor=_text(_PROCESSORS / "cpu0/cpufreq/scaling_governor"),
        frequency=max(frequencies) * 1e3 if frequencies else None,
        highest=max(highest) * 1e3 if highest else None,
        temperature=max(heat) / 1e3 if heat else phone.temperature,
        headroom=min(headroom) / 1e3 if headroom else None,
        throttled=_throttled(),
        thermal_status=phone.status,
    )


def _headroom(zone: Path) -> Iterator[int]:
    """Yield how far a zone is below its passive trip points (docs.kernel.org, Generic Thermal Sysfs)."""
    heat = list(_numbers([zone / "temp"]))
    for kind in zone.glob("trip_point_*_type"):
        if _text(kind) == "passive":
            limits = _numbers([kind.with_name(kind.name.replace("_type", "_temp"))])
            yield from (limit - now for now in heat for limit in limits if limit > 0)  # some say 0 or less: none


def _busy() -> tuple[float, float] | None:
    """Return processor seconds of all programs, and those that a host took away."""
    first = (_text(_STAT) or "").splitlines()[:1]
    if not first or not first[0].startswith("cpu "):
        return None
    user, nice, system, _idle, _wait, irq, softirq, *rest = (int(part) for part in first[0].split()[1:])
    tick = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / tick, (rest[0] if rest else 0) / tick


def _waited() -> float | None:
    lines = [_text(task / "schedstat") for task in _TASKS.glob("*")]
    known = [line.split() for line in lines if line]
    return sum(int(fields[1]) for fields in known) / 1e9 if known else None


def _throttled() -> int | None:
    found = re.search(r"=(0x[0-9a-fA-F]+)", said("vcgencmd", "get_throttled"))
    return int(found[1], 16) if found else None


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:  # Android keeps it from apps
        return None


def _less(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before


def _numbers(files: Iterable[Path]) -> Iterator[int]:
    """Yield the numbers in those files that hold one."""
    for file in files:
        told = _text(file) or ""
        if told.lstrip("-").isdigit():
            yield int(told)


def _text(file: Path) -> str | None:
    try:
        return file.read_text("utf-8", errors="replace").strip()
    except OSError:
        return None
