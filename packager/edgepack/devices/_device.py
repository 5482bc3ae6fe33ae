"""The record of a device, by its address, and the contract of the modules that reach one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast

from edgepack import plugins
from edgepack.documents import Json
from edgepack.errors import DeviceBusy, DeviceError, UnknownName, UsageError

_FORMS = {
    "adb": "adb://[serial]", "browser": "browser", "local": "local", "ssh": "ssh://user@host[:port]", "xcrun": "xcrun",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device, as its address and devices.toml name it."""

    name: str  # as it was asked for
    address: str
    kind: str
    folder: str = ""  # for edgepack's own files there; "": below the cache folder of the user there
    python: str = "python3"  # the interpreter there
    ssh_config: Path | None = None
    program: str = ""  # the browser on this machine; "": the one that is installed
    modules: Path | None = None  # npm's folder node_modules, of a browser
    target: str = ""  # that it is one of
    profile: str = ""


class Kind(Protocol):
    """The part that all modules for kinds of devices have: they are Transports, or Hosts (_host.py)."""

    @property
    def KEYS(self) -> tuple[str, ...]:
        """The keys of devices.toml that it uses, beside those that each device has: address, target and profile."""

    def check(self, device: Device) -> None:
        """Raises UsageError for an address that is none of this kind."""


class Transport(Kind, Protocol):
    """The contract of this package's modules for devices on which Python runs."""

    def command(self, device: Device, words: Sequence[str]) -> list[str]:
        """Return the command of this machine that runs ``words`` there, with their standard streams.

        Raises DeviceError.
        """

    def refused(self, device: Device, code: int | None, said: str) -> DeviceError | None:
        """Return the error for a command that ended with ``code`` before a word of the device; ``said`` is the last
        line on standard error. None where the kind knows none.
        """


def made(address: str, **stated: Json) -> Device:
    """Return the device at ``address``, with what is ``stated`` of it.

    Raises UnknownName for a kind that is not there, with those that are, UsageError for an address that is none.
    """
    kind = address.partition("://")[0].partition(":")[0]
    if kind not in kinds():
        raise UnknownName("device", address, [_FORMS.get(name, f"{name}://…") for name in kinds()])
    device = Device(**{"name": address, **stated, "address": address, "kind": kind})
    cast(Kind, _module(device, Kind)).check(device)
    return device


def keys(device: Device) -> tuple[str, ...]:
    """Return the keys of devices.toml that devices of its kind use, beside those that each has."""
    return cast(Kind, _module(device, Kind)).KEYS


def kinds() -> list[str]:
    """Return the kinds of devices that there are."""
    return plugins.names("devices")


def transport(device: Device) -> Transport:
    """Return the module that reaches ``device``. Raises UsageError for one that is none."""
    return cast(Transport, _module(device, Transport))


def _module(device: Device, contract: type) -> ModuleType:
    module = plugins.load("devices", device.kind)
    plugins.check("devices", device.kind, module, contract)
    return module


def busy(device: Device, who: str) -> DeviceBusy:
    """Return the error for a device that ``who`` uses."""
    return DeviceBusy(
        f"{device.name} is in use by another edgepack: {who}",
        hint="two at once would spoil each other's figures; try again when it has ended",
    )


def check_plain(device: Device) -> None:
    """Raises UsageError for an address that has more than the name of its kind."""
    if device.address != device.kind:
        raise UsageError(f"{device.address!r} is not a device", hint=f"--device {device.kind}")
