"""This machine, through the same process and protocol as any other device."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from edgepack.devices._device import Device, check_plain
from edgepack.errors import DeviceError

KEYS = ("folder", "python")


def check(device: Device) -> None:
    """Raises UsageError for more than the name."""
    check_plain(device)


def command(device: Device, words: Sequence[str]) -> list[str]:
    """Return ``words``, run by this Python where they ask for one."""
    python = sys.executable if device.python == "python3" else device.python
    return [python if word == device.python else word for word in words]


def refused(device: Device, code: int | None, said: str) -> DeviceError | None:
    """Return None: nothing lies between."""
    return None
