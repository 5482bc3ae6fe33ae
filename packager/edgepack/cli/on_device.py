"""The place where a command runs a bundle: here, or on the device that ``--device`` names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edgepack.errors import UsageError
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.runner import Here, Runner


@contextmanager
def runner(
    listed: Manifest, address: str | None, threads: int | None, *, prepare: bool, say: Callable[[str], None]
) -> Iterator[Runner]:
    """Provide the bundle on the device at ``address``, or in this process. Raises UsageError, DeviceError."""
    if address is None:
        check_here(prepare=prepare)
        yield Here(listed, threads)
        return
    from edgepack import devices  # here: a command without --device starts without it

    with devices.connect(devices.find(address), listed, threads=threads, say=say, prepare=prepare) as session:
        yield session


def check_here(*, prepare: bool) -> None:
    """Raises UsageError for --prepare without a device."""
    if prepare:
        raise UsageError("--prepare is for devices", hint="--device ADDRESS names one")
