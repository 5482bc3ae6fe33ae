"""Rows of a data set as prompts to make images of, each with its seed, steps and guidance where it states them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from edgepack.documents import Json
from edgepack.errors import DataError
from edgepack.runtime.diffusion.guidance import STRONGEST
from edgepack.tasks._diffusion import Prompt

_SEEDS, _STEPS = (1 << 63) - 1, 1000  # at most


def prompt(row: Mapping[str, Json], index: int, steps: int) -> Prompt:
    """Return the prompt of a row; its number, from 0, is the seed where none is stated, and ``steps`` its steps.

    Raises DataError with the row's place.
    """
    text = _text(row, "prompt")
    if text is None or not text.strip():
        raise DataError(f"{_place(row)}: the prompt is empty", hint="say what the image shows")
    return Prompt(
        text=text,
        negative=_text(row, "negative_prompt"),
        seed=_whole(row, "seed", index, 0, _SEEDS),
        steps=_whole(row, "steps", steps, 1, _STEPS),
        guidance=_guidance(row),
    )


def _place(row: Mapping[str, Json]) -> str:
    return str(getattr(row, "place", "a row"))


def _stated(row: Mapping[str, Json], column: str) -> Json:
    """Return a value; None where the row has none, as null and as an empty cell."""
    return None if row.get(column) == "" else row.get(column)


def _text(row: Mapping[str, Json], column: str) -> str | None:
    value = row.get(column)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{_place(row)}: {value!r} in column {column!r} is not a text")
    return value


def _whole(row: Mapping[str, Json], column: str, usual: int, least: int, most: int) -> int:
    value = _stated(row, column)
    if value is None:
        return usual
    whole = isinstance(value, int | str) and not isinstance(value, bool) and str(value).strip().isdecimal()
    if not whole or not least <= int(value) <= most:
        raise DataError(f"{_place(row)}: {column} is {value!r}", hint=f"it must be a whole number, {least} to {most:,}")
    return int(value)


def _guidance(row: Mapping[str, Json]) -> float | None:
    value = _stated(row, "guidance")
    if value is None:
        return None
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not 0 <= found <= STRONGEST:
        raise DataError(f"{_place(row)}: guidance is {value!r}", hint=f"it must be a number from 0 to {STRONGEST:,}")
    return found
