"""The users' devices: a table of how much memory each kind gives a model, and its share of the users.

[[device]]
name = "phones of 4 GB"
memory = "2 GB"      # that a model may use there, not all that is built in
share = 0.3          # of the users; all of them make 1

A CSV has the columns memory and share.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgepack.data import table
from edgepack.documents import Json
from edgepack.errors import DataError
from edgepack.runtime.schema import Schema
from edgepack.toml_file import check_keys, check_table, read_toml
from edgepack.units import parse_size

_COLUMNS = ("name", "memory", "share")
_REQUIRED = ("memory", "share")
_HINT = 'for example memory = "2 GB", share = 0.3'
_ROUNDED = 0.005  # by which published shares, in whole or tenth percent, may miss 1
_TYPES: Schema = {"properties": {"device": {"type": "array", "items": {"type": "object"}}}}
_DEVICE: Schema = {
    "properties": {
        "name": {"type": "string", "maxLength": 300},
        "memory": {"type": ["string", "integer"]},
        "share": {"type": "number"},
    }
}


@dataclass(frozen=True, kw_only=True)
class Device:
    """A kind of device: bytes that a model may use there, and its share of the users."""

    memory: int
    share: float


def read(file: Path) -> tuple[Device, ...]:
    """Return the devices in a TOML or CSV file. Raises DataError, which names the file and the row."""
    kinds = {".toml": _toml, ".csv": _csv}
    if file.suffix.lower() not in kinds:
        raise DataError(f"{file.name} is neither TOML nor CSV", hint="see docs/cost.md for both forms")
    found = tuple(kinds[file.suffix.lower()](file))
    if not found:
        raise DataError(f"{file.name} names no devices", hint=_HINT)
    total = math.fsum(device.share for device in found)
    if abs(total - 1) > _ROUNDED:
        raise DataError(
            f"{file.name}: the shares add up to {total:g}, not 1", hint="give a share for every kind of device"
        )
    return found


def unable(devices: Sequence[Device], need: float) -> float:
    """Return the share of users on devices with less than ``need`` bytes for a model, 0..1."""
    total = math.fsum(device.share for device in devices)
    return math.fsum(device.share for device in devices if device.memory < need) / total


def _toml(file: Path) -> Iterable[Device]:
    found = read_toml(file, DataError)
    check_table(found, _TYPES, file, DataError)
    for number, entry in enumerate(found.get("device", []), 1):
        place = f"{file.name}, device {number}"
        check_table(entry, _DEVICE, place, DataError, required=_REQUIRED, hint=_HINT)
        yield _device(entry["memory"], entry["share"], place)


def _csv(file: Path) -> Iterable[Device]:
    if not file.is_file():
        raise DataError(f"{file} is not a file", hint="paths are relative to where you are")
    for row in table.rows(file, headless=False):
        check_keys(map(str, row), _COLUMNS, row.place, DataError)
        missing = [name for name in _REQUIRED if name not in row]
        if missing:
            raise DataError(f"{row.place} lacks {missing[0]!r}", hint=_HINT)
        yield _device(row["memory"], row["share"], row.place)


def _device(memory: Json, share: Json, place: str) -> Device:
    try:
        made = Device(memory=parse_size(memory), share=float(share))
    except (ValueError, OverflowError) as wrong:
        raise DataError(f"{place}: {wrong}", hint=_HINT) from wrong
    if not 0 <= made.share <= 1:
        raise DataError(f"{place}: the share {made.share:g} is out of range", hint="a share is a number from 0 to 1")
    if made.memory <= 0:
        raise DataError(f"{place}: a memory of {made.memory} bytes is out of range", hint=_HINT)
    return made
