"""How far a sweep is: a live table in a terminal, else a line for each unit that ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edgepack.printable import printable
from edgepack.sweep import Course, Result, Unit

_ROWS = 12  # of units that run, at most


class Display:
    """Draws on standard error."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())
        self._live = Live(console=self._console, transient=True, auto_refresh=False) if sys.stderr.isatty() else None
        self._seen: dict[str, float] = {}  # when a unit that runs was first seen

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def ended(self, unit: Unit, result: Result, course: Course) -> None:
        """Print a line for what failed; where nobody looks, for each unit."""
        count = f"[{len(course.results)}/{len(course.plan.units)}]"
        if result.passed and self._live is None:
            self._say(f"{count} {unit.name}  {result.seconds:.1f} s")
        elif not result.passed:
            self._say(f"{count} failed: {unit.name}: {result.error} (exit code {result.code})", "red")

    def tick(self, course: Course) -> None:
        """Draw what runs."""
        if self._live is not None:
            self._live.update(self._drawn(course), refresh=True)

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(Text(printable(text).replace("\n", "\\n"), style=style))

    def _drawn(self, course: Course) -> Table:
        running = course.store.running()
        self._seen = {digest: self._seen.get(digest, time.monotonic()) for digest in running}
        drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        ended, failed = len(course.results), len(course.failed)
        title = f"{ended} of {len(course.plan.units)} units{f', {failed} failed' if failed else ''}"
        for name in (title, "machine", "time"):
            drawn.add_column(name, overflow="fold")
        for row in self._rows(course, running):
            drawn.add_row(*map(Text, row))
        return drawn

    def _rows(self, course: Course, running: dict[str, str]) -> Iterator[tuple[str, ...]]:
        units = [unit for unit in course.open if unit.digest in running]
        for unit in units[:_ROWS]:
            seconds = time.monotonic() - self._seen[unit.digest]
            yield printable(unit.name), printable(running[unit.digest]), f"{seconds:.0f} s"
        if units[_ROWS:]:
            yield f"and {len(units) - _ROWS} more", "", ""
