"""TOML as people and strangers write it: one reader, with limits and types, for targets, projects and suites."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from edgepack.documents import read_text
from edgepack.errors import EdgepackError
from edgepack.runtime.schema import Mismatch, Schema, check

_LARGEST = 1_000_000  # bytes


def read_toml(file: Path, failure: type[EdgepackError]) -> dict[str, Any]:
    """Return the table in ``file``. Raises ``failure`` with the file's name."""
    try:
        return tomllib.loads(read_text(file, failure, largest=_LARGEST))
    except RecursionError as error:
        raise failure(f"{file} is not valid TOML: nested too deep") from error
    except ValueError as error:  # TOMLDecodeError, and dates and numbers that Python cannot hold
        raise failure(f"{file} is not valid TOML: {str(error).splitlines()[0][:200]}") from error


def check_types(table: Any, schema: Schema, place: object, failure: type[EdgepackError]) -> None:
    """Raises ``failure``, which names ``place`` and the key, for values of another type than ``schema`` says."""
    try:
        check(table, schema)
    except Mismatch as wrong:
        raise failure(f"{place}: {wrong}") from wrong
