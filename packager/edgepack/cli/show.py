"""How results look in a terminal: tables, progress, errors and JSON."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable
from rich.text import Text

from edgepack.cli import columns
from edgepack.documents import Json
from edgepack.errors import EdgepackError
from edgepack.printable import OBEYED, printable
from edgepack.reports.side_by_side import Compared, legend, short
from edgepack.reports.side_by_side import side_by_side as tabulated
from edgepack.reports.table import DASH, Readable, Table, readable

_COPY = re.compile(r"\S*/text-folders/[^/\s]+/")  # the copy of a model's folder in the cache
_WIDE = 160  # columns when nobody looks: lines in logs are not folded
_TALL = 4  # lines of a cell, above which a row is easier to read as a block
_STYLES = {True: "green", False: "red", None: ""}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave by the door of all readers that left; rich's own exit code is a missed check's."""
        raise BrokenPipeError


def console() -> Console:
    """Return standard output, as wide as the terminal."""
    return _Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)


def table(title: str, content: Table) -> None:
    """Print a table with a heading and its notes; rows that passed or failed are coloured. Nothing for no rows.

    Words are never cut: where the terminal is too narrow for the columns, or would pile up their words, each row
    becomes a few lines.
    """
    if not content.rows and not content.notes:
        return
    out, shown = console(), readable(content)
    out.print()
    out.print(Text(printable(title), style="bold"))
    if shown.rows:
        for part in columns.groups(shown, out.width):
            widths = columns.fitted(part, out.width)
            _draw(out, part, widths) if widths and columns.tallest(part, widths) <= _TALL else _stack(out, part)
    for note in shown.notes:
        out.print(Text(printable(note), style="dim"))


def side_by_side(bundles: Sequence[Compared]) -> None:
    """Print bundles side by side, under their names where these fit in a line, else under numbers with a legend."""
    names = short([bundle.name for bundle in bundles])
    content = tabulated(bundles, names)
    widths = columns.fitted(readable(content), console().width)
    if widths and all(cell_len(name) <= width for name, width in zip(names, widths[1:], strict=True)):
        table("side by side", content)
        return
    numbers = [f"[{number}]" for number in range(1, len(bundles) + 1)]
    table("side by side", legend(bundles, numbers))
    table("sizes, accuracy and speed", tabulated(bundles, numbers, texts=False))


def _draw(out: Console, content: Readable, widths: Sequence[int]) -> None:
    """Print rows and columns; a heading stands where one has a text."""
    named = any(column.name for column in content.columns)
    drawn = RichTable(box=None, pad_edge=False, padding=(0, columns.GAP, 0, 0), show_header=named)
    for column, width in zip(content.columns, widths, strict=True):
        side: JustifyMethod = "right" if column.figures else "left"
        heading = columns.wrapped(column.name, width)
        drawn.add_column(escape(heading), header_style="dim", width=width, justify=side, vertical="top")
    for row, mark in zip(content.rows, content.passed, strict=True):
        cells = (columns.wrapped(cell, width) for cell, width in zip(row, widths, strict=True))
        drawn.add_row(*map(Text, cells), style=_STYLES[mark])
    out.print(drawn)


def _stack(out: Console, content: Readable) -> None:
    """Print each row as a block: its first cell, and below it the others with their columns' names."""
    head = [printable(column.name) for column in content.columns]
    for row, mark in zip(content.rows, content.passed, strict=True):
        first, *rest = (printable(cell) for cell in row)
        out.print(Text(first, style=_STYLES[mark] or "bold"), soft_wrap=not sys.stdout.isatty())
        for name, cell in zip(head[1:], rest, strict=True):
            if cell != DASH:
                out.print(
                    Text.assemble("  ", (f"{name}: " if name else "", "dim"), cell), soft_wrap=not sys.stdout.isatty()
                )


def line(text: str, style: str = "") -> None:
    """Print one line of text; a terminal that is too narrow breaks it between words."""
    paragraph(_escaped(text), style)


def paragraph(text: str, style: str = "") -> None:
    """Print a text with its own ends of lines."""
    console().print(Text(printable(text), style=style), soft_wrap=not sys.stdout.isatty())


def as_json(value: object) -> None:
    """Print the value as JSON; records become objects, paths and arrays what they hold."""
    text = json.dumps(_finite(json.loads(json.dumps(value, default=_plain))), indent=2, ensure_ascii=False)
    sys.stdout.write(OBEYED.sub(lambda found: json.dumps(found[0])[1:-1], text) + "\n")


def note(text: str) -> None:
    """Print something worth knowing beside the results, to standard error."""
    out = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())
    out.print(Text(_one_line(f"note: {text}"), style="dim"))


def fail(error: EdgepackError) -> None:
    """Print an error: one line, and one with what to do."""
    out = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())
    out.print(Text(_one_line(f"error: {_as_named(str(error))}"), style="red"))
    if error.hint:
        out.print(Text(_one_line(f" hint: {_as_named(error.hint)}")))


def _as_named(text: str) -> str:
    """Name a model's files by its own folder, not by the copy in the cache in which they were read."""
    return _COPY.sub("", text)


def _one_line(text: str) -> str:
    return _escaped(printable(text))


def _escaped(text: str) -> str:
    return text.replace("\n", "\\n")


class Steps:
    """The steps of a long work, drawn while it runs when standard error is a terminal; else silent."""

    def __init__(self, total: int | None = None) -> None:
        self._drawn = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._drawn.add_task("starting", total=total)

    def __enter__(self) -> Steps:
        self._drawn.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._drawn.stop()

    def step(self, text: str) -> None:
        """Show that a new step has begun."""
        self._drawn.update(self._task, description=escape(_one_line(text)), advance=1)

    def note(self, text: str) -> None:
        """Print something worth knowing, which stays on the screen."""
        if not self._drawn.disable:
            self._drawn.console.print(Text(printable(text)))


def _finite(value: Json) -> Json:
    """Return ``value`` with null for what is no number in JSON: NaN and infinity."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: object) -> Json:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Path | datetime):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
