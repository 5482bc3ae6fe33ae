"""Apple's simulators and attached devices, by Xcode's tools on a Mac."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from edgepack.devices._device import Device, check_plain
from edgepack.errors import DeviceError, DeviceLacks

KEYS: tuple[str, ...] = ()


def check(device: Device) -> None:
    """Raises UsageError for more than the name."""
    check_plain(device)


def command(device: Device, words: Sequence[str]) -> list[str]:
    """Raises DeviceLacks: what this takes."""
    if sys.platform != "darwin":
        raise DeviceLacks(
            "xcrun reaches Apple's devices from a Mac with Xcode, and this machine is not one",
            hint="on a Mac: xcode-select --install; here edgepack computes Core ML bundles itself, --device local",
        )
    raise DeviceLacks(
        "Python does not run on Apple's phones, so there is no runtime to ask",
        hint="--device local measures with Core ML on this Mac; apps run the bundle's own test vectors",
    )


def refused(device: Device, code: int | None, said: str) -> DeviceError | None:
    """Return None: nothing is run."""
    return None
