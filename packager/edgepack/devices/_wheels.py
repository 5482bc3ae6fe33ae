"""The packages that a device lacks, fetched here for its processor and Python, so that it needs no network."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edgepack import cachefolder
from edgepack.devices._device import Device
from edgepack.documents import JsonObject
from edgepack.errors import DeviceLacks

_GLIBC = [(2, minor) for minor in range(40, 16, -1)]  # of manylinux, newest first
_OLD = "manylinux2014"  # the name of 2.17


def fetched(device: Device, told: JsonObject, wanted: Sequence[str]) -> list[Path]:
    """Return the wheels of ``wanted`` and all that they need, from the cache once they were fetched.

    Raises DeviceLacks where there is none for the device.
    """
    if told.get("libc") == "bionic":
        raise DeviceLacks(
            f"{device.name} has Android's own C library, for which there are no wheels of {', '.join(wanted)}",
            hint="in Termux: pkg install python-numpy python-onnxruntime, then pip install what is still missing",
        )
    python = ".".join(str(told.get("python")).split(".")[:2])
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    chosen = ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
    with cachefolder.room("wheels") as work:
        platforms = [f"--platform={name}" for name in _platforms(told)]
        done = subprocess.run(
            [*command, *chosen, *platforms, "--dest", str(work), *wanted], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
            raise DeviceLacks(
                f"there are no packages for {device.name} ({told.get('machine')}, Python {python}): {lines[-1][:300]}",
                hint="they need a 64-bit system; pip fetches them on this machine, which needs a network",
            )
        kept = cachefolder.root() / "device-wheels"
        kept.mkdir(parents=True, exist_ok=True)
        return [Path(wheel).replace(kept / wheel.name) for wheel in sorted(work.glob("*.whl"))]


def _platforms(told: JsonObject) -> list[str]:
    """Return pip's names for the device, from the newest that it takes on."""
    machine, libc = str(told.get("machine")), str(told.get("libc"))
    if told.get("system") == "Darwin":
        return [f"macosx_{major}_0_{machine}" for major in range(15, 10, -1)]
    if libc.startswith("musl"):
        return [f"musllinux_1_{minor}_{machine}" for minor in range(2, 0, -1)]
    numbers = libc.removeprefix("glibc ").split(".")[:2]
    reach = tuple(int(number) for number in numbers if number.isdigit())
    return [*(f"manylinux_{a}_{b}_{machine}" for a, b in _GLIBC if (a, b) <= reach), f"{_OLD}_{machine}"]
