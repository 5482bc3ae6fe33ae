"""The Chromium or Chrome of this machine: onnxruntime-web with threads and SIMD on a page of this machine's loopback.

``browser`` computes with WebAssembly, ``browser://webgpu`` with WebGPU. No Python runs there, so this module opens
bundles in its own way (_host.py).
"""

from __future__ import annotations

import fcntl
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from edgepack import cachefolder, processors
from edgepack.devices import _chromium, _npm
from edgepack.devices._browsing import Browsing, Place
from edgepack.devices._device import Device, busy
from edgepack.devices._facts import Facts
from edgepack.devices._in_browser import InBrowser
from edgepack.devices._page import Page
from edgepack.errors import DeviceLacks, UsageError
from edgepack.progress import Say, silent
from edgepack.runtime import machine
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.runner import Runner

KEYS = ("program", "modules")
_PROVIDERS = {"browser": "wasm", "browser://webgpu": "webgpu"}
_FORMAT = "onnx"


def check(device: Device) -> None:
    """Raises UsageError for what is no address."""
    if device.address not in _PROVIDERS:
        raise UsageError(f"{device.address!r} is not a browser", hint="browser, or browser://webgpu")


@contextmanager
def connected(device: Device, manifest: Manifest, *, threads: int | None, say: Say, prepare: bool) -> Iterator[Runner]:
    """Provide the bundle of ``manifest`` in the browser. Raises DeviceLacks, DeviceError."""
    other = next((one.format for one in manifest.models.values() if one.format != _FORMAT), None)
    if other is not None:
        raise DeviceLacks(f"no browser runs models of the format {other}", hint="edgepack build MODEL --target web")
    bundle = {name: manifest.folder / name for name in manifest.table["files"]}
    with _alone(device), _begun(device, bundle, say, prepare=prepare) as (browsing, modules):
        facts = browsing.facts()
        provider = _PROVIDERS[device.address]
        if provider == "webgpu" and not facts.webgpu:
            raise DeviceLacks(f"{device.name} has no WebGPU", hint="--device browser computes with WebAssembly")
        wanted = min(threads or manifest.threads, processors.count()) if facts.threads else 1
        say(f"opening {manifest.name} in {facts.browser}")
        reads = _npm.TRANSFORMERS in _npm.versions(modules)
        yield InBrowser(browsing, manifest, Place(device=device, provider=provider, threads=wanted, reads=reads))


def probe(device: Device) -> Facts:
    """Ask the browser what it is. Raises DeviceError."""
    with _begun(device, {}, silent, prepare=False) as (browsing, modules):
        told = browsing.facts()
    return Facts(
        model=told.browser,
        machine=platform.machine(),
        system=f"{platform.system()} {platform.release()}",
        python="",
        packages=_npm.versions(modules),
        features=told.features,
        emulated=machine.emulated(),
        cores=told.cores,
    )


def clear(device: Device) -> int:
    """Delete the packages that ``--prepare`` has fetched; the bytes set free."""
    return _npm.clear()


@contextmanager
def _alone(device: Device) -> Iterator[None]:
    """Take this machine's browsers for a session. Raises DeviceBusy."""
    cachefolder.root().mkdir(parents=True, exist_ok=True)
    with (cachefolder.root() / "browser.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy(device, "another process of this machine") from None
        yield


@contextmanager
def _begun(device: Device, bundle: Mapping[str, Path], say: Say, *, prepare: bool) -> Iterator[tuple[Browsing, Path]]:
    program = _chromium.program(device.program)
    modules = _npm.modules(device, say, prepare=prepare)
    say(f"starting {Path(program).name}")
    with Page(device.name, modules, bundle) as page, Browsing(page, program) as browsing:
        yield browsing, modules
