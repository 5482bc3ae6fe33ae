"""JSON Lines: one object per line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgepack.data.row import Row
from edgepack.documents import read_json_lines
from edgepack.errors import DataError


def rows(path: Path, *, headless: bool) -> Iterator[Row[str]]:
    """Yield the object of each line. Raises DataError with the line's number."""
    for number, row in read_json_lines(path, DataError):
        if not isinstance(row, dict):
            raise DataError(f"{path.name} line {number}: not an object")
        yield Row(f"{path.name} line {number}", row)
