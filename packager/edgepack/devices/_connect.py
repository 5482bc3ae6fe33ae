"""Bring a bundle to a device: what is missing there is pushed, then the runtime there opens it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from edgepack import closure, plugins
from edgepack.devices import _requirements
from edgepack.devices._device import Device
from edgepack.devices._folder import DeviceFolder, opened
from edgepack.devices._host import host
from edgepack.devices._session import Session
from edgepack.errors import DeviceLacks
from edgepack.progress import Say, silent
from edgepack.runtime.manifest import MANIFEST, Manifest
from edgepack.runtime.runner import Runner


@contextmanager
def connect(
    device: Device, manifest: Manifest, *, threads: int | None = None, say: Say = silent, prepare: bool = False
) -> Iterator[Runner]:
    """Provide the bundle of ``manifest`` on ``device``, by one connection, with which all that runs there ends.

    What is not there yet is pushed; with ``prepare`` the packages that the runtime needs too. ``say`` is told the
    steps. Raises DeviceError.
    """
    itself = host(device)
    if itself is not None:
        with itself.connected(device, manifest, threads=threads, say=say, prepare=prepare) as runner:
            yield runner
        return
    say(f"connecting to {device.name}")
    modules = _plugins(manifest)
    with opened(device) as folder:
        folder.lock()
        _requirements.check(device, folder, modules, prepare=prepare, say=say)
        package = _package(folder, modules, say)
        bundle = _bundle(folder, manifest, say)
        say(f"opening {manifest.name} on {device.name}")
        arguments = [bundle, str(threads or 0)]
        asked = {"do": "run", "module": _requirements.SERVICE, "arguments": arguments, "path": [package]}
        folder.link.send_object(asked)
        session = Session(device, folder.link, manifest, threads or manifest.threads, folder.told)
        session.begin()
        yield session


def _plugins(manifest: Manifest) -> list[str]:
    """Return the modules that the bundle's task and formats take. Raises DeviceLacks for those of a third party."""
    asked = [("runtime.tasks", manifest.task), *(("runtime.engines", one.format) for one in manifest.models.values())]
    for kind, name in asked:
        brought = plugins.distribution(kind, name)
        if brought != plugins.OURS:
            raise DeviceLacks(
                f"{manifest.name} needs {name} of {brought}, and only edgepack's own runtime is brought to devices",
                hint=f"on the device itself: pip install edgepack {brought}, and the same command without --device",
            )
    task = f"edgepack.runtime.tasks.{manifest.task.replace('-', '_')}"
    return [task, *(f"edgepack.runtime.engines.{one.format}" for one in manifest.models.values())]


def _package(folder: DeviceFolder, modules: list[str], say: Say) -> str:
    """Return where the runtime lies, laid out once for all sessions."""
    named = folder.push(closure.files((_requirements.SERVICE, *modules)), say)
    content = hashlib.sha256(repr(sorted(named.items())).encode()).hexdigest()
    return folder.lay(f"packages/{content}", named)


def _bundle(folder: DeviceFolder, manifest: Manifest, say: Say) -> str:
    """Return where the bundle lies for this session."""
    files = {name: manifest.folder / name for name in (MANIFEST, *manifest.table["files"])}
    named = folder.push(files, say)
    return folder.lay(f"{folder.start()}/{manifest.name}", named)
