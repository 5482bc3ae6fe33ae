"""A device as it describes itself, before anything is installed there: its board, processor, memory and state.

The host sends this file with _depot.py, for Python 3.8 or later with nothing installed.
"""

from __future__ import annotations

import glob
import os
import platform
import shutil
from typing import Any, Dict  # noqa: UP035 (Python 3.8)

from edgepack.runtime import android


def facts(folder: str) -> Dict[str, Any]:  # noqa: UP006 (Python 3.8)
    """Return the board, its processor and memory, and its state now; what it does not tell is left out."""
    lines = [line.split(":", 1) for line in text("/proc/cpuinfo").splitlines() if ":" in line]
    told = {key.strip(): value.strip() for key, value in lines}
    memory = [line.split()[1] for line in text("/proc/meminfo").splitlines() if line.startswith("MemTotal:")]
    board = text("/sys/firmware/devicetree/base/model").rstrip("\0\n")
    found = {
        "model": android.model() or board or told.get("model name") or told.get("Model") or platform.processor(),
        "cores": os.cpu_count(),
        "memory": int(memory[0]) * 1024 if memory else None,
        "features": (told.get("Features") or told.get("flags") or "").split(),
        "page": os.sysconf("SC_PAGE_SIZE"),
        "temperature": temperature(),
        "emulated": bool(os.environ.get("QEMU_CPU")) or foreign(lines) or android.emulator(),
        "free": shutil.disk_usage(existing(folder)).free,
    }
    return {key: value for key, value in found.items() if value is not None}


def foreign(lines: list[list[str]]) -> bool:
    """Return whether /proc/cpuinfo is an x86 machine's and the programs are not: QEMU's user mode shows the host's."""
    makers = [value.strip() for key, value in lines if key.strip() == "vendor_id"]
    return bool(makers) and platform.machine() not in ("x86_64", "AMD64", "i686", "i386")


def temperature() -> Any:
    """Return degrees Celsius, of a thermal zone or by Android's service."""
    heat = text("/sys/class/thermal/thermal_zone0/temp").strip()
    if heat.lstrip("-").isdigit():
        return int(heat) / 1000
    return android.thermal().temperature


def musl() -> str:
    """Return the name of musl, where that is the C library."""
    return "musl" if glob.glob("/lib/ld-musl-*") else ""


def existing(folder: str) -> str:
    """Return the nearest folder above that is there."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def text(file: str) -> str:
    """Return a file's text; nothing where it cannot be read."""
    try:
        with open(file, errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""
