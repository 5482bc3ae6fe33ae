"""Android phones and tablets that the system's adb reaches, by a Python that is on them.

Files lie in /data/local/tmp, the one folder from which Android lets adb's shell run programs. A Python that belongs to
an app, such as Termux's, runs as that app does, with its files in the app's own folder.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from edgepack.devices._device import Device
from edgepack.errors import DeviceError, DeviceLacks, DeviceUnreachable, UsageError
from edgepack.printable import printable

KEYS = ("folder", "python")
_ADDRESS = re.compile(r"adb://(?P<serial>[\w\[][\w.:%\[\]-]*)?")
_APPS = re.compile(r"/data/(?:data|user/\d+)/(?P<app>[\w.]+)/")
_ENTRY = re.compile(r"(?P<serial>\S+)\s+(?P<state>no permissions|\w+)")  # of `adb devices -l`
_PLACE = "/data/local/tmp"
_PATIENCE = 20.0  # seconds for adb to start its server and list devices
_NO_PYTHON = (126, 127)  # a shell's exit codes for a program that it cannot run
_PLUG_IN = "allow USB debugging in the phone's developer options and plug it in, or adb connect HOST:PORT"
# What adb says of a device that it sees and cannot use, what that means and what to do about it
_STATES = {
    "unauthorized": ("it has not allowed this machine", "unlock it and accept its question about USB debugging"),
    "authorizing": ("it has not allowed this machine yet", "unlock it and accept its question about USB debugging"),
    "connecting": ("it does not answer yet", "try again in a few seconds"),
    "offline": ("it does not answer (offline)", "adb reconnect offline, or plug it in again"),
    "no permissions": ("this user may not open it", "sudo apt install android-sdk-platform-tools-common"),
}
_NOT_ANDROID = ("it is not running Android ({state})", "adb -s {serial} reboot")


@dataclass(frozen=True)
class _Attached:
    """A device that adb sees."""

    serial: str
    state: str


def check(device: Device) -> None:
    """Raises UsageError for what is no address."""
    _asked(device)


def command(device: Device, words: Sequence[str]) -> list[str]:
    """Return the call of adb. Raises DeviceLacks where there is none here, DeviceUnreachable, DeviceError."""
    if shutil.which("adb") is None:
        raise DeviceLacks("there is no adb on this machine", hint="apt install adb")
    serial = _found(device, _attached())
    return ["adb", "-s", serial, "shell", "-T", f"exec {shlex.join([*_around(device), *words])}"]


def refused(device: Device, code: int | None, said: str) -> DeviceError | None:
    """Return what a failure of adb, or of Android's run-as, means; None where it is the program's own."""
    if said.startswith("run-as:"):
        return DeviceLacks(
            f"{device.name} does not run programs as an app ({said})",
            hint="Termux from GitHub can be debugged, F-Droid's cannot; ssh://phone:8022 reaches Termux's sshd",
        )
    if said.startswith(("adb:", "error:")):
        return DeviceUnreachable(f"{device.name} cannot be reached: {said}", hint="adb devices -l")
    if code in _NO_PYTHON:
        return DeviceLacks(
            f"{device.name} has no {device.python}, and Android brings none: {said}",
            hint='one that is on it can be named in devices.toml: python = "/data/…"; docs/devices.md says which',
        )
    return None


def _around(device: Device) -> list[str]:
    """Return the words before the interpreter: where its files go, and as whom it runs."""
    app = _APPS.match(device.python)
    if app is None:
        return ["env", f"XDG_CACHE_HOME={_PLACE}"]
    files = f"{app[0]}files"
    return ["run-as", app["app"], "env", f"HOME={files}/home", f"PREFIX={files}/usr", f"TMPDIR={files}/usr/tmp"]


def _found(device: Device, attached: Sequence[_Attached]) -> str:
    """Return the serial of the device. Raises DeviceUnreachable, DeviceError where several could be meant."""
    asked = _asked(device)
    fitting = [one for one in attached if asked in ("", one.serial)]
    if len(fitting) > 1:
        said = ", ".join(f"{one.serial} ({one.state})" for one in fitting)
        raise DeviceError(f"adb has several devices: {said}", hint=f"--device adb://{fitting[0].serial} names one")
    if not fitting:
        others = f"; it has {', '.join(one.serial for one in attached)}" if attached else ""
        raise DeviceUnreachable(f"adb has no device{f' {asked}' if asked else ''}{others}", hint=_PLUG_IN)
    (one,) = fitting
    if one.state != "device":
        meaning, hint = _STATES.get(one.state, _NOT_ANDROID)
        told = meaning.format(state=one.state)
        raise DeviceUnreachable(f"{one.serial}: {told}", hint=hint.format(serial=one.serial))
    return one.serial


def _attached() -> list[_Attached]:
    """Return the devices that adb sees. Raises DeviceUnreachable where it fails."""
    try:
        done = subprocess.run(
            ["adb", "devices", "-l"], capture_output=True, text=True, errors="replace", timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired as late:
        raise DeviceUnreachable("adb does not answer", hint="adb kill-server") from late
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it does not say why"])[-1]
        raise DeviceUnreachable(f"adb fails: {printable(last)[:200]}", hint="adb kill-server")
    _, _, listed = done.stdout.partition("List of devices attached\n")
    entries = [_ENTRY.match(line) for line in listed.splitlines()]
    return [_Attached(printable(entry["serial"]), entry["state"]) for entry in entries if entry]


def _asked(device: Device) -> str:
    """Return the serial in the address, else adb's own ANDROID_SERIAL, or "". Raises UsageError."""
    found = _ADDRESS.fullmatch(device.address)
    if not found:
        raise UsageError(f"{device.address!r} is not an adb address", hint="adb://, or adb://SERIAL of adb devices")
    return found["serial"] or os.environ.get("ANDROID_SERIAL", "")
