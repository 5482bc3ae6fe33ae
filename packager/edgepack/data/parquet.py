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
    except pyarrow.ArrowException as error:
        raise DataError(f"{path.name} cannot be read: {str(error).splitlines()[0]}") from error
