"""The needs of the runtime on a device: Python, and packages for its processor."""

from __future__ import annotations

from collections.abc import Sequence

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from edgepack import closure, installed
from edgepack.devices import _wheels
from edgepack.devices._device import Device
from edgepack.devices._folder import DeviceFolder
from edgepack.documents import JsonObject
from edgepack.errors import DeviceLacks
from edgepack.progress import Say

SERVICE = "edgepack.runtime.service"  # the module that answers there
_LEAST = (3, 11)


def check(device: Device, folder: DeviceFolder, plugins: Sequence[str], *, prepare: bool, say: Say) -> None:
    """Raises DeviceLacks for what is missing there."""
    _check_python(device, str(folder.told.get("python")))
    lacking = missing(folder.told, plugins)
    if lacking and prepare:
        say(f"fetching {', '.join(lacking)} for {device.name}")
        wheels = {wheel.name: wheel for wheel in _wheels.fetched(device, folder.told, needed(plugins))}
        folder.told |= folder.ask("unpack", wheels=list(folder.push(wheels, say).values()))
        lacking = missing(folder.told, plugins)
    if lacking:
        typed = " ".join(f"'{one}'" for one in lacking)
        raise DeviceLacks(
            f"{device.name} lacks {', '.join(lacking)}",
            hint=f"--prepare brings them; or there: {device.python} -m pip install {typed}",
        )


def needed(plugins: Sequence[str]) -> list[str]:
    """Return what the modules ``plugins`` need, with the versions that will do."""
    wanted = {need.name: need.wanted for need in installed.needs()}
    names = map(installed.distribution_of, closure.libraries((SERVICE, *plugins)))
    return [f"{name}{wanted.get(name, '')}" for name in names]


def missing(told: JsonObject, plugins: Sequence[str]) -> list[str]:
    """Return those of them that a device lacks."""
    there = told.get("packages")
    versions = there if isinstance(there, dict) else {}
    return [one for one in needed(plugins) if not _meets(versions, Requirement(one))]


def _meets(versions: JsonObject, wanted: Requirement) -> bool:
    try:
        return wanted.specifier.contains(Version(str(versions.get(wanted.name))), prereleases=True)
    except InvalidVersion:
        return False


def _check_python(device: Device, version: str) -> None:
    try:
        found = Version(version)
    except InvalidVersion:
        found = Version("0")
    if found.release[:2] < _LEAST:
        raise DeviceLacks(
            f"{device.name} has Python {version[:20]}; the runtime needs {'.'.join(map(str, _LEAST))}",
            hint='a newer one can be named in devices.toml: python = "/usr/bin/python3.11"',
        )
