"""Prices by name: edgepack's own (presets.toml), and those of a user's file in the same form."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from edgepack.cost.ranges import RANGES
from edgepack.cost.records import Egress, Service
from edgepack.documents import JsonDict, JsonObject
from edgepack.errors import DataError, UnknownName, UsageError
from edgepack.runtime.schema import Schema
from edgepack.toml_file import check_table, read_toml

PRESETS = Path(__file__).with_name("presets.toml")
_STRING = {"type": "string", "minLength": 1, "maxLength": 300}
_NOTED: JsonDict = {
    "title": _STRING, "source": _STRING, "read": {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
}  # fmt: skip
_PRICES = ("per_thousand", "per_million_in", "per_million_out")


def _number(name: str) -> JsonDict:
    return {"type": "number", "minimum": RANGES[name].least, "maximum": RANGES[name].most}


_TYPES: Schema = {"properties": {"services": {"type": "object"}, "egress": {"type": "object"}}}
_SERVICE: Schema = {
    "type": "object",
    "properties": {**_NOTED, "unit": _STRING, **{name: _number(name) for name in _PRICES}},
}
_EGRESS: Schema = {"type": "object", "properties": {**_NOTED, "per_gb": _number("egress")}}


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Hosted services and ways of delivery, by name."""

    services: dict[str, Service]
    egress: dict[str, Egress]

    def service(self, name: str) -> Service:
        """Return the service ``name``. Raises UnknownName."""
        if name not in self.services:
            raise UnknownName("service", name, self.services)
        return self.services[name]

    def egress_of(self, text: str) -> Egress:
        """Return the price for a GB that ``text`` is or names. Raises UnknownName, UsageError."""
        try:
            return Egress(title="", per_gb=float(text))
        except ValueError:
            if text not in self.egress:
                raise UnknownName("egress price", text, self.egress) from None
            return self.egress[text]


def read(file: Path | None = None) -> Prices:
    """Return the presets, and in front of them what ``file`` holds. Raises DataError, which names the file."""
    known = _read(PRESETS)
    own = _read(file) if file is not None else Prices(services={}, egress={})
    return Prices(services={**known.services, **own.services}, egress={**known.egress, **own.egress})


def _read(file: Path) -> Prices:
    table = read_toml(file, DataError)
    check_table(table, _TYPES, file, DataError)
    services, egress = table.get("services", {}), table.get("egress", {})
    return Prices(
        services={name: _service(entry, name, file) for name, entry in services.items()},
        egress={name: _egress(entry, name, file) for name, entry in egress.items()},
    )


def _service(entry: JsonObject, name: str, file: Path) -> Service:
    place = f"{file}: services.{name}"
    _check(entry, _SERVICE, place, ())
    prices: JsonDict = {key: entry.get(key) for key in _PRICES}
    try:
        return Service(**_noted(entry, name, file), unit=entry.get("unit", "request"), **prices)
    except UsageError as wrong:
        hint = "give per_thousand, or per_million_in and per_million_out"
        raise DataError(f"{place}: {wrong}", hint=hint) from wrong


def _egress(entry: JsonObject, name: str, file: Path) -> Egress:
    _check(entry, _EGRESS, f"{file}: egress.{name}", ("per_gb",))
    return Egress(per_gb=entry["per_gb"], **_noted(entry, name, file))


def _check(entry: JsonObject, schema: Schema, place: str, required: tuple[str, ...]) -> None:
    if not isinstance(entry, dict):
        raise DataError(f"{place} is not a table", hint="see docs/cost.md")
    check_table(entry, schema, place, DataError, required=(*_NOTED, *required), hint="see docs/cost.md")
    try:
        date.fromisoformat(entry["read"])
    except ValueError as error:
        raise DataError(f"{place}: read is {entry['read']!r}, which is no day", hint='write "2026-11-01"') from error


def _noted(entry: JsonObject, name: str, file: Path) -> JsonDict:
    source = f"{entry['title']}: {entry['source']}, read {entry['read']}"
    return {"title": entry["title"], "origin": f"{name} in {file.name}", "source": source}
