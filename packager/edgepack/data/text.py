"""A plain text: the whole file is one row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgepack.data.row import Row
from edgepack.documents import read_text
from edgepack.errors import DataError


def rows(path: Path, *, headless: bool) -> Iterator[Row[str]]:
    """Yield one row with the column "text". Raises DataError where the file is not UTF-8."""
    text = read_text(path, DataError).removeprefix("\ufeff")
    if text.strip():
        yield Row(path.name, {"text": text})
