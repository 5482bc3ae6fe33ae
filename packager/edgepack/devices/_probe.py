"""Look at a device: what it is, what is installed there, how it is at the moment."""

from __future__ import annotations

from edgepack.devices._device import Device
from edgepack.devices._facts import Facts
from edgepack.devices._folder import opened
from edgepack.devices._host import host
from edgepack.documents import Json, JsonObject
from edgepack.errors import DeviceAnswerWrong
from edgepack.runtime import machine
from edgepack.runtime.schema import Mismatch, Schema, check

_NUMBER = {"type": "integer", "minimum": 0, "maximum": 1 << 60}
_TYPES: Schema = {
    "type": "object",
    "properties": {
        "model": {"type": "string", "maxLength": 1000},
        "cores": _NUMBER,
        "memory": _NUMBER,
        "features": {"type": "array", "maxItems": 10_000, "items": {"type": "string", "maxLength": 100}},
        "page": _NUMBER,
        "temperature": {"type": "number", "minimum": -300, "maximum": 10_000},
        "emulated": {"type": "boolean"},
        "free": _NUMBER,
    },
    "required": ["model", "features", "emulated"],
    "additionalProperties": False,
}


def probe(device: Device) -> Facts:
    """Ask a device what it is; nothing is left there. Raises DeviceError."""
    if itself := host(device):
        return itself.probe(device)
    with opened(device) as store:
        told, found = store.told, store.ask("facts")
    try:
        check(found, _TYPES)
    except Mismatch as wrong:
        raise DeviceAnswerWrong(f"{device.name} tells wrong facts: {wrong}", hint="is edgepack there?") from wrong
    return _facts(told, found)


def clear(device: Device) -> int:
    """Delete what edgepack keeps on a device; the bytes set free there. Raises DeviceError."""
    if itself := host(device):
        return itself.clear(device)
    with opened(device) as store:
        store.lock()
        freed = store.ask("clear").get("freed")
    if not isinstance(freed, int):
        raise DeviceAnswerWrong(f"{device.name} does not say what it has deleted", hint="is edgepack there?")
    return freed


def _facts(told: JsonObject, found: JsonObject) -> Facts:
    packages = told.get("packages")
    return Facts(
        **{**found, "model": _short(found, "model"), "features": machine.known_features(found["features"])},
        machine=_short(told, "machine"),
        system=f"{_short(told, 'system')} {_short(told, 'release')}",
        python=_short(told, "python"),
        packages={_line(k): _line(v) for k, v in packages.items()} if isinstance(packages, dict) else {},
    )


def _short(told: JsonObject, key: str) -> str:
    return _line(told.get(key, ""))


def _line(text: Json) -> str:
    """Return what a device says as one short line, so that it cannot look like lines of edgepack's."""
    return " ".join(str(text)[:100].split())
