"""Data sets: rows of a CSV, TSV, JSONL or Parquet file, a text, or a folder of images or sounds, with a task's columns.

path = "pairs.csv"
columns = { sentence1 = "a", sentence2 = "b", score = 2 }   # a name, or a number where there is no header
limit = 500                                                 # the first so many rows
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from edgepack import plugins
from edgepack.data.row import Column, Row
from edgepack.documents import Json
from edgepack.errors import DataError, ProjectError, nearest
from edgepack.runtime.schema import Schema
from edgepack.toml_file import check_table

_TYPES: Schema = {
    "properties": {
        "path": {"type": "string", "minLength": 1, "maxLength": 4000, "pattern": r"^[^\x00]+$"},
        "columns": {"type": "object", "additionalProperties": {"type": ["string", "integer"]}},
        "limit": {"type": "integer", "minimum": 1},
        "name": {"type": "string", "maxLength": 1000},
    }
}
_READERS = {
    ".csv": "table",
    ".tsv": "table",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".txt": "text",
}


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """A data set: where it lies and which of its columns mean what."""

    path: Path
    columns: Mapping[str, Column] = field(default_factory=dict)  # the task's name -> the file's name or number
    limit: int | None = None
    name: str = ""

    @classmethod
    def parse(cls, table: Json, *, root: Path) -> Self:
        """Read it from a TOML table; the path is relative to ``root``. Raises ProjectError."""
        if not isinstance(table, dict) or not isinstance(table.get("path"), str):
            raise ProjectError("a data set needs a path", hint='for example data = { path = "pairs.csv" }')
        check_table(table, _TYPES, "a data set", ProjectError)
        path = root / table["path"]
        return cls(
            path=path,
            columns=table.get("columns", {}),
            limit=table.get("limit"),
            name=table.get("name", path.name),
        )


def read(
    spec: DataSpec,
    wanted: Iterable[str],
    pairs: Mapping[str, tuple[str, ...]] | None = None,
    optional: Collection[str] = (),
) -> list[Row[str]]:
    """Return the rows of a data set, each with the columns ``wanted``, or where it has them with those of ``pairs`` for
    one. Those of ``optional`` are added where a row has them.

    Raises DataError: no such file, an unknown kind of file, a broken line, a missing column, no rows; where there are
    optional columns and ``spec`` names none, a column that is neither, for it may be one that is misspelt.
    """
    if not spec.path.exists():
        raise DataError(f"there is no data set {spec.path}", hint="paths are relative to the file that names them")
    if not spec.path.is_dir() and not spec.path.is_file():
        raise DataError(f"{spec.path} is not a regular file", hint="save what it gives as a file first")
    kind = "folder" if spec.path.is_dir() else _READERS.get(spec.path.suffix.lower())
    if kind is None:
        raise DataError(
            f"{spec.path.name} has a format that edgepack does not read",
            hint=f"known: {', '.join(_READERS)} and folders of images or sounds",
        )
    headless = any(isinstance(column, int) for column in spec.columns.values())
    rows = plugins.load_module(f"edgepack.data.{kind}").rows(spec.path, headless=headless)
    first = list(zip(range(1 << 62 if spec.limit is None else spec.limit), rows, strict=False))
    offered = _offered(spec, wanted, pairs or {}, first[0][1] if first else Row("", {}))
    names = {name: spec.columns.get(name, name) for name in offered}
    more = {name: spec.columns.get(name, name) for name in optional}
    chosen = [_pick(row, _there(row, names, more, spec), spec) for _, row in first]
    if not chosen:
        raise DataError(f"{spec.path.name} has no rows")
    return chosen


def _offered(
    spec: DataSpec, wanted: Iterable[str], pairs: Mapping[str, tuple[str, ...]], row: Row[Column]
) -> Iterator[str]:
    """Yield ``wanted``, with several columns in the place of one that the data set lacks and has as several."""
    for name in wanted:
        several = pairs.get(name, ())
        named = several and all(part in spec.columns for part in several)
        found = name not in spec.columns and name not in row and all(part in row for part in several)
        yield from several if several and (named or found) else (name,)


def _there(
    row: Row[Column], names: Mapping[str, Column], more: Mapping[str, Column], spec: DataSpec
) -> Mapping[str, Column]:
    """Return the columns to take of a row: those of ``more`` that it has too. Raises DataError."""
    strange = [key for key in row if key not in (*names.values(), *more.values())]
    if more and not spec.columns and strange:
        raise DataError(
            f"{row.place} has a column {str(strange[0])!r}, which is not used here",
            hint=f"known: {', '.join((*names, *more))}; columns = {{ … }} leaves out all but those that it names",
        )
    return {**names, **{name: column for name, column in more.items() if column in row or name in spec.columns}}


def _pick(row: Row[Column], names: Mapping[str, Column], spec: DataSpec) -> Row[str]:
    """Raises DataError for a column that is not there, and a number that is not finite."""
    for name, column in names.items():
        if column not in row:
            have = [str(key) for key in row]
            close = nearest(str(column), have)
            raise DataError(
                f"{spec.path.name} has no column {column!r} (for {name}); it has {', '.join(have)}",
                hint=f'columns = {{ {name} = "{close or have[0] if have else "…"}" }} names another',
            )
        if isinstance(row[column], float) and not math.isfinite(row[column]):
            raise DataError(f"{row.place}, column {column!r}: {row[column]} is not a finite number")
    return Row(row.place, {name: row[column] for name, column in names.items()})
