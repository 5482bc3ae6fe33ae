"""The reasons for which a process on a device ended before it answered."""

from __future__ import annotations

import signal

from edgepack.devices._device import Device
from edgepack.documents import Json, JsonObject
from edgepack.errors import DeviceError, DeviceLacks, DeviceStopped

_SHELL = 128  # which shells add to a signal's number


def stopped(device: Device, code: Json, said: str, facts: JsonObject) -> DeviceError:
    """Return the error for an exit code, negative for a signal, and the last line on standard error."""
    number = -code if isinstance(code, int) and code < 0 else code - _SHELL if isinstance(code, int) else 0
    packages = facts.get("packages")
    version = packages.get("onnxruntime", "") if isinstance(packages, dict) else ""
    if number == signal.SIGILL:
        return DeviceStopped(
            f"the runtime on {device.name} met an instruction that the processor there lacks (SIGILL): "
            f"onnxruntime {str(version)[:50]} is not made for it",
            hint=f"a newer onnxruntime may run there: edgepack bench BUNDLE --device {device.name} --prepare",
        )
    if number == signal.SIGKILL:
        return DeviceStopped(
            f"the system of {device.name} killed the runtime (SIGKILL), as it does when memory runs out",
            hint="a smaller recipe needs less memory; dmesg on the device says whether it ran out",
        )
    if "ImportError" in said or "ModuleNotFoundError" in said or "cannot open shared object" in said:
        return DeviceLacks(
            f"the runtime on {device.name} cannot be loaded: {said}",
            hint=f"edgepack bench BUNDLE --device {device.name} --prepare installs the packages for its processor",
        )
    name = signal.Signals(number).name if number in set(signal.Signals) else f"exit code {code}"
    return DeviceStopped(
        f"the runtime on {device.name} ended ({name}){f': {said}' if said else ''}",
        hint="edgepack devices shows its state",
    )
