"""Machines that the system's OpenSSH reaches: its keys, jump hosts and ``~/.ssh/config`` hold, passwords do not."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Sequence

from edgepack.devices._device import Device
from edgepack.errors import DeviceError, DeviceLacks, DeviceUnreachable, UsageError

KEYS = ("folder", "python", "ssh_config")
_USER, _IP, _NAME = r"(?:[^@\s/:-][^@\s/:]*@)?", r"\[[0-9a-fA-F:%.]+\]", r"[^@\s/:\[\]-][^@\s/:\[\]]*"
_ADDRESS = re.compile(rf"ssh://(?P<host>{_USER}(?:{_IP}|{_NAME}))(?::(?P<port>\d{{1,5}}))?/?")
_FAILED = 255  # ssh's own exit code
_OPTIONS = {
    "BatchMode": "yes",  # ask nobody for anything
    "ConnectTimeout": "10",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "ClearAllForwardings": "yes",
    "PermitLocalCommand": "no",
    "LogLevel": "ERROR",
}
# What ssh says, what that means and what to do about it
_SAYS = (
    ("Connection refused", "nothing accepts ssh connections there", "start sshd there, or give its port"),
    ("Host key verification failed", "its host key is unknown, or has changed", "compare it and connect once: {ssh}"),
    ("Permission denied", "it accepts none of your keys", "ssh-copy-id {host}; passwords are not asked for"),
    ("Could not resolve hostname", "there is no such host", "try its IP address"),
    ("timed out", "it does not answer", "is it on, and in this network?"),
    ("No route to host", "it cannot be reached from here", "is it on, and in this network?"),
    ("Network is unreachable", "it cannot be reached from here", "is this machine in a network?"),
    ("Too many authentication failures", "ssh offered it too many keys", "set IdentityFile in ~/.ssh/config"),
)  # fmt: skip


def check(device: Device) -> None:
    """Raises UsageError for what is no address."""
    _parts(device)


def command(device: Device, words: Sequence[str]) -> list[str]:
    """Return the call of ssh. Raises DeviceLacks where there is none here."""
    if shutil.which("ssh") is None:
        raise DeviceLacks("there is no ssh on this machine", hint="apt install openssh-client")
    options = [word for key, value in _OPTIONS.items() for word in ("-o", f"{key}={value}")]
    return ["ssh", "-T", *options, *_destination(device), f"exec {shlex.join(words)}"]


def refused(device: Device, code: int | None, said: str) -> DeviceError | None:
    """Return what ssh's own failure means; None where it reached the device."""
    if code != _FAILED:
        return None
    host, typed = _parts(device)[0], shlex.join(["ssh", *_destination(device)])
    for sign, meaning, hint in _SAYS:
        if sign in said:
            return DeviceUnreachable(f"{device.name}: {meaning} ({said})", hint=hint.format(ssh=typed, host=host))
    return DeviceUnreachable(f"{device.name} cannot be reached: {said or 'ssh does not say why'}", hint=typed)


def _destination(device: Device) -> list[str]:
    host, port = _parts(device)
    config = ["-F", str(device.ssh_config)] if device.ssh_config else []
    return [*config, *(["-p", port] if port else []), "--", host]


def _parts(device: Device) -> tuple[str, str | None]:
    """Return ``user@host`` and the port, if any. Raises UsageError."""
    found = _ADDRESS.fullmatch(device.address)
    if not found or not 0 < int(found["port"] or 22) < 1 << 16:
        raise UsageError(f"{device.address!r} is not an ssh address", hint="ssh://user@host or ssh://user@host:port")
    return found["host"].replace("[", "").replace("]", ""), found["port"]
