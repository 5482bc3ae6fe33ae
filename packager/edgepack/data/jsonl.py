"""JSON Lines: one object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgepack.errors import DataError


def rows(path: Path, *, headless: bool) -> Iterator[dict[Any, Any]]:
    """The object of each line. Raises DataError with the line's number."""
    with path.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise DataError(f"{path.name} line {number}: {error}") from error
                if not isinstance(row, dict):
                    raise DataError(f"{path.name} line {number}: not an object")
                yield row
