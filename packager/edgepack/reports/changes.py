"""Tables of a history: what has become slower or faster since."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.history import Change
from edgepack.records import NotMeasured
from edgepack.reports.table import Cell, Table
from edgepack.units import duration

_NOTE = "ratio: now / before of the medians; interval: Welch's t on the logarithms of the rounds' medians"


def changes_table(found: Sequence[Change]) -> Table:
    """Tabulate each bundle's medians before and now; rows that are surely slower, by more than 5 %, did not pass."""
    head = ["bundle", "device", "input", "before", "now", "ratio", "95 % interval", "was", "is"]
    rows: list[list[Cell]] = [
        [
            each.now.bundle,
            each.now.device,
            each.now.timing.label,
            duration(each.earlier),
            duration(each.later),
            f"{each.ratio:.3f}",
            each.interval if isinstance(each.interval, NotMeasured) else "{:.3f} to {:.3f}".format(*each.interval),
            each.before.label or f"{each.before.at.astimezone():%Y-%m-%d %H:%M}",
            each.now.label or f"{each.now.at.astimezone():%Y-%m-%d %H:%M}",
        ]
        for each in found
    ]
    passed = [False if each.slower else True if each.faster else None for each in found]
    return Table(head, rows, passed, figures=head[3:7], notes=[_NOTE, verdict(found)])


def verdict(found: Sequence[Change]) -> str:
    """Say how many are slower and faster."""
    slower, faster = sum(each.slower for each in found), sum(each.faster for each in found)
    return f"of {len(found)} medians {slower} are slower and {faster} faster, surely and by more than 5 %"
