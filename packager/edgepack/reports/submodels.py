"""Accuracy of the submodels of a bundle with several: a row for each."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.records import Accuracy
from edgepack.reports.accuracy import figure, floor, words
from edgepack.reports.table import Cell, Table

_LAST = ("max error",)  # columns that stand behind the others


def submodels_table(accuracy: Sequence[Accuracy]) -> Table:
    """Tabulate the figures of submodels, a row for each and a column for each metric; floors are in the notes."""
    own = [a for a in accuracy if a.submodel]
    metrics = sorted(dict.fromkeys(words(a.metric) for a in own), key=lambda metric: metric in _LAST)
    found = {(a.submodel, words(a.metric)): a for a in own}
    rows: list[list[Cell]] = []
    passed: list[bool | None] = []
    for name in dict.fromkeys(a.submodel for a in own):
        figures = [found.get((name, metric)) for metric in metrics]
        there = [a for a in figures if a is not None]
        rows.append([name, *map(_cell, figures), f"{max(a.samples for a in there):,}"])
        results = [a.passed for a in there if a.passed is not None]
        passed.append(all(results) if results else None)
    head = ["submodel", *metrics, "samples"]
    return Table(head, rows, passed, figures=head[1:], notes=_notes(own))


def _cell(found: Accuracy | None) -> Cell:
    if found is None:
        return None
    return figure(found.compressed, found.metric) if isinstance(found.compressed, float | int) else found.compressed


def _notes(own: Sequence[Accuracy]) -> list[str]:
    """Name the floors: behind the submodels' names where not all that have the metric share one."""
    holders: dict[str, list[str]] = {}
    demands: dict[tuple[str, str], list[str]] = {}
    for a in own:
        holders.setdefault(words(a.metric), []).append(a.submodel)
        if (least := floor(a)) is not None:
            demands.setdefault((words(a.metric), least), []).append(a.submodel)
    told = [
        f"{metric} {least}" + ("" if names == holders[metric] else f" ({', '.join(names)})")
        for (metric, least), names in demands.items()
    ]
    return [f"floors: {', '.join(told)}"] if told else []
