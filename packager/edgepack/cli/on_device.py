"""The place where a command runs a bundle: here, or on the device that ``--device`` names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgepack.errors import ProjectError, UsageError
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.runner import Here, Runner


@contextmanager
def runner(
    listed: Manifest,
    address: str | None,
    threads: int | None,
    *,
    prepare: bool,
    say: Callable[[str], None],
    file: Path | None = None,
) -> Iterator[Runner]:
    """Provide the bundle on the device at ``address``, a name of ``file`` where that is given, or in this process.

    Raises UsageError, DeviceError.
    """
    if address is None:
        check_here(prepare=prepare)
        yield Here(listed, threads)
        return
    from edgepack import devices  # here: a command without --device starts without it

    device = devices.find(address) if file is None else devices.listed(file)[address]
    with devices.connect(device, listed, threads=threads, say=say, prepare=prepare) as session:
        yield session


def names(file: Path) -> list[str]:
    """Return the names of the devices in ``file``. Raises ProjectError for a file without any."""
    from edgepack import devices

    found = list(devices.listed(file))
    if not found:
        raise ProjectError(f"{file} names no device", hint='[devices.kitchen] and address = "ssh://pi@kitchen"')
    return found


def check(address: str | None, *, prepare: bool) -> None:
    """Raises, before any work, UsageError and ProjectError for what is not a device."""
    if address is None:
        check_here(prepare=prepare)
        return
    from edgepack import devices

    devices.find(address)


def check_here(*, prepare: bool) -> None:
    """Raises UsageError for --prepare without a device."""
    if prepare:
        raise UsageError("--prepare is for devices", hint="--device ADDRESS names one")
