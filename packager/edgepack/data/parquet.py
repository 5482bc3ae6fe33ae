"""Parquet files, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet

from edgepack.data.row import Row
from edgepack.errors import DataError


def rows(path: Path, *, headless: bool) -> Iterator[Row[str]]:
    """Yield one dict per row. Raises DataError."""
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    number += 1
                    yield Row(f"{path.name} row {number}", row)
    except (pyarrow.ArrowException, OSError, ValueError, UnicodeDecodeError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path.name} cannot be read: {said}") from error
