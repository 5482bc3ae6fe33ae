"""The limits of stores, as limits.toml has them: each with where it was read, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from edgepack.documents import JsonObject
from edgepack.errors import DataError
from edgepack.runtime.schema import Schema
from edgepack.toml_file import check_table, read_toml
from edgepack.units import parse_size

FILE = Path(__file__).with_name("limits.toml")
_STRING = {"type": "string", "minLength": 1, "maxLength": 300}
_LIMIT: Schema = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("store", "what", "beyond", "source"), _STRING),
        "targets": {"type": "array", "items": _STRING, "minItems": 1},
        "most": _STRING,
        "of": {"enum": ["download", "disk"]},
        "read": {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
    },
}
_TYPES: Schema = {"properties": {"limit": {"type": "array"}}}


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A limit of a store."""

    store: str
    what: str  # it limits
    targets: tuple[str, ...]  # whose apps go there
    most: int  # bytes
    of: Literal["download", "disk"]  # compressed, or as it lies on the device
    beyond: str  # the consequence of more
    source: str
    read: date


def limits(target: str) -> list[Limit]:
    """Return the limits of the stores that apps for ``target`` go to; none where there is no store.

    Raises DataError for a file that is wrong.
    """
    table = read_toml(FILE, DataError)
    check_table(table, _TYPES, FILE, DataError)
    found = [_limit(entry, f"{FILE}: limit {number}") for number, entry in enumerate(table["limit"], 1)]
    return [limit for limit in found if target in limit.targets]


def _limit(entry: JsonObject, place: str) -> Limit:
    check_table(entry, _LIMIT, place, DataError, required=_LIMIT["properties"])
    try:
        most, read = parse_size(entry["most"]), date.fromisoformat(entry["read"])
    except ValueError as error:
        raise DataError(f"{place}: {error}") from error
    return Limit(**{**entry, "targets": tuple(entry["targets"]), "most": most, "read": read})
