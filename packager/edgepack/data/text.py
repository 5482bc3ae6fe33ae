"""A plain text: the whole file is one row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgepack.errors import DataError


def rows(path: Path, *, headless: bool) -> Iterator[dict[Any, Any]]:
    """One row with the column "text". Raises DataError where the file is no UTF-8."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is no text in UTF-8 (byte {error.start:,})") from error
    if text.strip():
        yield {"text": text}
