"""A row of a data set, with its place there for errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Row(dict[Any, Any]):
    """The values of a row by column; ``place`` is where it stands, as "pairs.csv line 3"."""

    def __init__(self, place: str, values: Mapping[Any, Any]) -> None:
        super().__init__(values)
        self.place = place
