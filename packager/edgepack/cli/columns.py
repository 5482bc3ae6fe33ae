"""Widths of a table's columns in a terminal, so that no word and no figure is cut."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from rich.cells import cell_len

from edgepack.printable import printable
from edgepack.reports.table import Column, Readable

GAP = 2  # spaces between columns
_LONG = 12  # cells: longer names and paths may end a line behind a hyphen, a slash or a colon
_PIECES = re.compile(r"[^-/:]+[-/:]*|[-/:]+")
_FIGURE = re.compile(r"[-+≤≥–]?\s?\d|–")  # the beginning of a figure, which stays on one line with its unit


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


def tallest(table: Readable, widths: Sequence[int]) -> int:
    """Return the lines of the tallest cell in columns of such widths."""
    cells = (wrapped(cell, width) for row in table.rows for cell, width in zip(row, widths, strict=True))
    return max((cell.count("\n") + 1 for cell in cells), default=0)


def groups(table: Readable, width: int) -> list[Readable]:
    """Part a table into some that fit ``width``, each with the first column; the table alone where that cannot be.

    Only a table whose other columns are figures of the same kind is parted, such as one of several bundles.
    """
    first, *rest = table.columns
    if fitted(table, width) or not all(column.figures for column in rest):
        return [table]
    parts: list[list[Column]] = [[]]
    for column in rest:
        if parts[-1] and not fitted(replace(table, columns=[first, *parts[-1], column]), width):
            parts.append([])
        parts[-1].append(column)
    return [replace(table, columns=[first, *part]) for part in parts]


def wrapped(text: str, width: int) -> str:
    """Break ``text`` between words into lines of at most ``width`` cells, and long names behind a hyphen or slash."""
    lines = [""]
    for number, word in enumerate(printable(text).split(" ")):
        space = " " if number else ""
        if cell_len(lines[-1] + space + word) <= width:
            lines[-1] += space + word
            continue
        for index, piece in enumerate(_pieces(word)):
            start = lines[-1] + (space if index == 0 else "")
            if cell_len(start + piece) <= width:
                lines[-1] = start + piece
            else:
                lines = [*(lines if lines[-1].strip() else lines[:-1]), piece]
    return "\n".join(lines)


def _widest(column: Column) -> int:
    return max(cell_len(printable(cell)) for cell in (column.name, *column.cells))


def _narrowest(column: Column) -> int:
    """Return the width of the longest piece that is not broken; a figure and its unit stay on one line."""
    return max(_longest_piece(column.name), *(_least(cell, column) for cell in column.cells))


def _least(cell: str, column: Column) -> int:
    return cell_len(printable(cell)) if column.figures and _FIGURE.match(cell) else _longest_piece(cell)


def _longest_piece(text: str) -> int:
    return max((cell_len(piece) for word in printable(text).split() for piece in _pieces(word)), default=0)


def _pieces(word: str) -> Sequence[str]:
    return _PIECES.findall(word) if cell_len(word) > _LONG else [word]
