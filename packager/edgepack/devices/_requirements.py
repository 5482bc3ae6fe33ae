"""The needs of the runtime on a device: Python, and packages for its processor."""

from __future__ import annotations

from collections.abc import Sequence

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from edgepack import installed
from edgepack.devices import _closure
from edgepack.devices._device import Device
from edgepack.devices._store import Say, Store
from edgepack.documents import JsonObject
from edgepack.errors import DeviceLacks

_LEAST = (3, 11)


def check(device: Device, store: Store, plugins: Sequence[str], *, prepare: bool, say: Say) -> None:
    """Raises DeviceLacks for what is missing there."""
    _check_python(device, str(store.told.get("python")))
    lacking = missing(store.told, plugins)
    if lacking:
        raise DeviceLacks(
            f"{device.name} lacks {', '.join(lacking)}",
            hint=f"there: pip install {' '.join(lacking)}; or from here, without its network: the same with --prepare",
        )


def missing(told: JsonObject, plugins: Sequence[str]) -> list[str]:
    """Return the packages, with the versions that will do, that the modules ``plugins`` need and a device lacks."""
    there = told.get("packages")
    versions = there if isinstance(there, dict) else {}
    needs = {need.name: need.wanted for need in installed.needs()}
    names = [installed.distribution_of(module) for module in _closure.libraries(plugins)]
    return [f"{name}{needs.get(name, '')}" for name in names if not _meets(versions.get(name), needs.get(name, ""))]


def _meets(version: object, wanted: str) -> bool:
    try:
        return SpecifierSet(wanted).contains(Version(str(version)), prereleases=True)
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
