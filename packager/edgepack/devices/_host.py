"""The contract of modules for devices on which no Python runs: they open bundles in their own way."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol, cast

from edgepack import plugins
from edgepack.devices._device import Device, Kind
from edgepack.devices._facts import Facts
from edgepack.progress import Say
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.runner import Runner


class Host(Kind, Protocol):
    """The contract of this package's modules for such kinds of devices."""

    def connected(
        self, device: Device, manifest: Manifest, *, threads: int | None, say: Say, prepare: bool
    ) -> AbstractContextManager[Runner]:
        """Provide the bundle of ``manifest`` on ``device``. Raises DeviceError."""

    def probe(self, device: Device) -> Facts:
        """Ask the device what it is. Raises DeviceError."""

    def clear(self, device: Device) -> int:
        """Delete what edgepack keeps there; the bytes set free. Raises DeviceError."""


def host(device: Device) -> Host | None:
    """Return the module of ``device`` where it opens bundles itself, or None. Raises UsageError for one in part."""
    module = plugins.load("devices", device.kind)
    if not hasattr(module, "connected"):
        return None
    plugins.check("devices", device.kind, module, Host)
    return cast(Host, module)
