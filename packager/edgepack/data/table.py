"""CSV and TSV files, with or without a header."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgepack.data.row import Column, Row
from edgepack.errors import DataError


def rows(path: Path, *, headless: bool) -> Iterator[Row[Column]]:
    """Yield one dict per line: by column name, or by number from 0 when there is no header. Raises DataError."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        try:
            header = [] if headless else next(reader, [])
            if len(set(header)) != len(header):
                raise DataError(f"{path.name} names a column twice in its first line")
            for line in reader:
                if not line:
                    continue
                names: Sequence[Column] = range(len(line)) if headless else header
                if len(line) != len(names):
                    raise DataError(f"{path.name} line {reader.line_num}: {len(line)} fields, not {len(names)}")
                yield Row(f"{path.name} line {reader.line_num}", dict(zip(names, line, strict=True)))
        except csv.Error as error:
            raise DataError(f"{path.name} line {reader.line_num}: {error}") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{path.name} line {_undecodable(path)}: not UTF-8") from error


def _undecodable(path: Path) -> int:
    """Return the number of the first line that is not UTF-8; text is decoded before it is counted in lines."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1
