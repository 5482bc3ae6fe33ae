"""Parquet files, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from edgepack.errors import DataError


def rows(path: Path, *, headless: bool) -> Iterator[dict[Any, Any]]:
    """One dict per row. Raises DataError."""
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=256):
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError, UnicodeDecodeError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path.name} cannot be read: {said}") from error
