"""The check whether a device is the target that a bundle was built for."""

from __future__ import annotations

from dataclasses import replace

from edgepack.devices._device import Device
from edgepack.records import Where
from edgepack.runtime.manifest import Manifest


def own(device: Device, manifest: Manifest, where: Where) -> Where:
    """Return ``where``; a device that devices.toml says is of another target or profile is not the bundle's."""
    asked = manifest.table["target"]
    other = (device.target not in ("", asked["name"])) or (device.profile not in ("", asked["profile"]))
    return replace(where, target=where.target and not other)
