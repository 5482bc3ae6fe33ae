"""TOML as people and strangers write it: one reader, with limits and types, for targets, projects and suites."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from datetime import date, time
from pathlib import Path

from edgepack.documents import Json, JsonDict, read_text
from edgepack.errors import EdgepackError, nearest
from edgepack.runtime.schema import Mismatch, Schema, check

_LARGEST = 1_000_000  # bytes
_MARK = "\ufeff"  # of UTF-8, which some editors begin a file with


def read_toml(file: Path, failure: type[EdgepackError]) -> JsonDict:
    """Return the table in ``file``. Raises ``failure`` with the file's name."""
    try:
        text = read_text(file, failure, largest=_LARGEST).removeprefix(_MARK)
        table: JsonDict = _plain(tomllib.loads(text))
        return table
    except RecursionError as error:
        raise failure(f"{file} is not valid TOML: nested too deep") from error
    except ValueError as error:  # TOMLDecodeError, and dates and numbers that Python cannot hold
        raise failure(f"{file} is not valid TOML: {str(error).splitlines()[0][:200]}") from error


def _plain(value: Json) -> Json:
    """Return ``value`` in JSON's types: dates and times, which TOML has beside them, as they are written."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, date | time) else value


def check_table(
    table: Json,
    schema: Schema,
    place: object,
    failure: type[EdgepackError],
    *,
    required: Iterable[str] = (),
    hint: str = "",
) -> None:
    """Raises ``failure``, which names ``place``, for a key that ``schema`` does not name, one that is missing, a type.

    ``hint`` says where to read about those that are missing.
    """
    check_keys(table, schema["properties"], place, failure)
    for key in required:
        if key not in table:
            raise failure(f"{place} lacks {key!r}", hint=hint)
    check_types(table, schema, place, failure)


def check_keys(table: Iterable[str], known: Iterable[str], place: object, failure: type[EdgepackError]) -> None:
    """Raises ``failure`` for a key that is not ``known``, with the nearest that is."""
    names = sorted(known)
    for key in table:
        if key not in names:
            close = nearest(key, names)
            hint = f"did you mean {close!r}?" if close else f"known: {', '.join(names)}"
            raise failure(f"{place}: unknown key {key!r}", hint=hint)


def check_types(table: Json, schema: Schema, place: object, failure: type[EdgepackError]) -> None:
    """Raises ``failure``, which names ``place`` and the key, for values of another type than ``schema`` says."""
    try:
        check(table, schema)
    except Mismatch as wrong:
        raise failure(f"{place}: {wrong}") from wrong
