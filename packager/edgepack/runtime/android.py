"""Facts that Android tells by its own programs: its model, its heat, whether a PC emulates it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgepack.runtime.programs import said

_NAMES = ("product.manufacturer", "product.model", "soc.model")
_CPU, _SKIN = 0, 3  # android.os.Temperature
_HOT = re.compile(r"Temperature\{mValue=(-?[\d.]+), mType=(\d+),")


@dataclass(frozen=True)
class Thermal:
    """Android's thermal status, 0 (none) to 6 (shutdown), and degrees Celsius; None: it does not tell."""

    status: int | None = None
    temperature: float | None = None


def model() -> str:
    """Return maker, model and chip; "" where this is not Android."""
    maker, name, chip = (said("getprop", f"ro.{name}").strip() for name in _NAMES)
    whole = name if name.lower().startswith(maker.lower()) else f"{maker} {name}"
    return f"{whole} ({chip})" if chip else whole


def emulator() -> bool:
    """Return whether this is an Android that a PC emulates."""
    return any(said("getprop", name).strip() == "1" for name in ("ro.boot.qemu", "ro.kernel.qemu"))


def thermal() -> Thermal:
    """Return the heat, of the processor where it is told, else of the case."""
    told = said("dumpsys", "thermalservice")
    status = re.search(r"Thermal Status: (\d+)", told)
    now = told.partition("Current temperatures from HAL")[2] or told  # the others are from the last event
    degrees = [(float(value), int(kind)) for value, kind in _HOT.findall(now)]
    of = {kind: [value for value, its in degrees if its == kind] for kind in (_CPU, _SKIN)}
    return Thermal(int(status[1]) if status else None, max(of[_CPU] or of[_SKIN], default=None))
