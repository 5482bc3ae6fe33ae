"""Widths of a table's columns in a terminal, so that no word and no figure is cut."""

from __future__ import annotations

from rich.cells import cell_len

from edgepack.printable import printable
from edgepack.reports.table import Column, Readable

GAP = 2  # spaces between columns


def fitted(table: Readable, width: int) -> list[int] | None:
    """Return each column's width in cells; None where not even the longest words fit side by side in ``width``."""
    room = width - GAP * (len(table.columns) - 1)
    widths, least = [_widest(column) for column in table.columns], [_narrowest(column) for column in table.columns]
    while sum(widths) > room:
        # the widest column gives way first
        given, i = max((widths[i] if widths[i] > least[i] else -1, i) for i in range(len(widths)))
        if given < 0:
            return None
        widths[i] -= 1
    return widths


def _widest(column: Column) -> int:
    return max(cell_len(printable(cell)) for cell in (column.name, *column.cells))


def _narrowest(column: Column) -> int:
    """Return the width of the longest word; a figure and its unit stay on one line."""
    cells = [cell_len(printable(cell)) if column.figures else _longest_word(cell) for cell in column.cells]
    return max(_longest_word(column.name), *cells)


def _longest_word(text: str) -> int:
    return max((cell_len(word) for word in printable(text).split()), default=0)
