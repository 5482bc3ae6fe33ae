"""Devices that figures are taken on, and what they answer."""

from __future__ import annotations

from edgepack.errors._root import EdgepackError


class DeviceError(EdgepackError):
    """A device that cannot do what is asked of it."""

    exit_code = 80


class DeviceUnreachable(DeviceError):
    """No connection: refused, an unknown host key, no key that it takes, no such host."""

    exit_code = 81


class DeviceLost(DeviceError):
    """A connection that broke off, or a device that says nothing any more."""

    exit_code = 82


class DeviceBusy(DeviceError):
    """Another edgepack works there, which would spoil the figures of both."""

    exit_code = 83


class DeviceLacks(DeviceError):
    """A program or a package that is missing there, or is of another version or processor."""

    exit_code = 84


class DeviceFull(DeviceError):
    """No space left on the device's disk."""

    exit_code = 85


class DeviceStopped(DeviceError):
    """The process there was ended: by an instruction that the processor lacks, for its memory, by a signal."""

    exit_code = 86


class DeviceAnswerWrong(DeviceError):
    """An answer that is none: not JSON, not of the form asked for, too long."""

    exit_code = 87
