"""CSV and TSV files, with or without a header."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgepack.errors import DataError


def _said(error: Exception) -> str:
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def rows(path: Path, *, headless: bool) -> Iterator[dict[Any, Any]]:
    """One dict per line: by column name, or by number from 0 when there is no header. Raises DataError."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        try:
            header: list[Any] = [] if headless else next(reader, [])
            if len(set(header)) != len(header):
                raise DataError(f"{path.name} names a column twice in its first line")
            for line in reader:
                if not line:
                    continue
                names = list(range(len(line))) if headless else header
                if len(line) != len(names):
                    raise DataError(f"{path.name} line {reader.line_num}: {len(line)} fields, not {len(names)}")
                yield dict(zip(names, line, strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{path.name} line {reader.line_num}: {_said(error)}") from error
