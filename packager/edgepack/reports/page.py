"""A page of results: sections with tables and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgepack.reports.table import Readable, Table, readable

MARK = '<p class="brand">edgepack</p>'  # by which a page is known as ours


@dataclass(frozen=True)
class Section:
    """A heading, a table and plots (SVG)."""

    title: str
    table: Table
    plots: Sequence[str] = field(default_factory=list)

    @property
    def shown(self) -> Readable:
        """The table as it is read."""
        return readable(self.table)
