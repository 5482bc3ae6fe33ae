"""A table of results, and its form for reading: figures that are missing become dashes, with the reasons below."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from edgepack.records import NotMeasured

DASH = "–"
_MARKS = "¹²³⁴⁵⁶⁷⁸⁹"


@dataclass(frozen=True)
class Noted:
    """A text with ``notes`` that other cells have too: they stand below the table, once."""

    text: str
    notes: tuple[str, ...]


Cell = str | NotMeasured | Noted | None  # None: there is no such figure


@dataclass(frozen=True)
class Table:
    """Rows of cells; ``passed`` marks each row as good, bad or neither, ``notes`` are lines below."""

    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    passed: Sequence[bool | None] = ()
    figures: Collection[str] = ()  # headings of the columns that hold figures, which are aligned to the right
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Column:
    """A column of text: its heading, its cells, and whether they are figures."""

    name: str
    cells: Sequence[str]
    figures: bool


@dataclass(frozen=True)
class Readable:
    """A table of text alone: no column is empty, and ``notes`` hold the reasons for what is missing."""

    columns: Sequence[Column]
    passed: Sequence[bool | None]  # one for each row
    notes: Sequence[str]

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The cells by row."""
        return list(zip(*(column.cells for column in self.columns), strict=True))


def readable(table: Table) -> Readable:
    """Return the table as people read it: without its empty columns, a dash and a footnote for what was not
    measured.
    """
    reasons = dict.fromkeys(note for row in table.rows for cell in row for note in _notes(cell))
    marks = {reason: _MARKS[i] if i < len(_MARKS) else f" ({i + 1})" for i, reason in enumerate(reasons)}
    columns = [
        Column(name, [_text(row[i], marks) for row in table.rows], name in table.figures)
        for i, name in enumerate(table.head)
        if any(row[i] is not None for row in table.rows)
    ]
    passed = [*table.passed, *[None] * len(table.rows)][: len(table.rows)]
    return Readable(columns, passed, [*(f"{mark} {reason}" for reason, mark in marks.items()), *table.notes])


def _notes(cell: Cell) -> Sequence[str]:
    if isinstance(cell, NotMeasured):
        return (str(cell),)
    return cell.notes if isinstance(cell, Noted) else ()


def _text(cell: Cell, marks: dict[str, str]) -> str:
    if isinstance(cell, Noted):
        return cell.text + " ".join(marks[note] for note in cell.notes)
    if isinstance(cell, NotMeasured):
        return DASH + marks[str(cell)]
    return DASH if cell is None else cell
