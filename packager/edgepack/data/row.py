"""A row of a data set, with its place there for errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from edgepack.documents import Json

Column = str | int  # a name, or a number from 0 where a file has no header
K = TypeVar("K", bound=Column)


class Row(dict[K, Json]):
    """The values of a row by column; ``place`` is where it stands, as "pairs.csv line 3"."""

    def __init__(self, place: str, values: Mapping[K, Json]) -> None:
        super().__init__(values)
        self.place = place
