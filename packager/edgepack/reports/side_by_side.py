"""Tables of several bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Literal

from edgepack.records import Accuracy
from edgepack.reports.accuracy import figure, measure, unit
from edgepack.reports.table import DASH, Table
from edgepack.units import durations, sizes


@dataclass(frozen=True)
class Amount:
    """A figure that is written in the unit of its row."""

    value: float
    unit: Literal["bytes", "seconds"]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A bundle among others: ``texts`` tell what it is, ``figures`` are by the name of their row."""

    name: str
    task: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, str | Amount]
    remark: str = ""


def figures(accuracy: Sequence[Accuracy]) -> dict[str, str]:
    """Return the bundle's figures by the metric's name and unit."""
    return {
        _named(measure(a), unit(a.metric)): figure(a.compressed, a.metric).removesuffix(unit(a.metric))
        for a in accuracy
    }


def side_by_side(bundles: Sequence[Compared], headings: Sequence[str], *, texts: bool = True) -> Table:
    """Tabulate bundles, a column for each; a row has one unit, and there is none where no bundle has a figure.

    Of bundles for several tasks, figures that only one bundle has are left out too; so are ``texts`` that all share.
    """
    several = len({bundle.task for bundle in bundles}) > 1
    rows = [_row(key, [bundle.figures.get(key) for bundle in bundles]) for key in _keys([b.figures for b in bundles])]
    told = _texts(bundles) if texts else {}
    kept = [row for row in rows if sum(cell != DASH for cell in row[1:]) > several]
    lone = len(rows) - len(kept) if several else 0
    remarks: dict[str, list[str]] = {}
    for bundle, heading in zip(bundles, headings, strict=True):
        remarks.setdefault(bundle.remark, []).append(heading)
    return Table(
        ["", *headings],
        [*([key, *cells] for key, cells in told.items()), *kept],
        figures=headings,
        notes=[
            *(f"{', '.join(whose)}: {remark}" for remark, whose in remarks.items() if remark),
            *([f"left out: {lone} figures that only one bundle has, which edgepack inspect shows"] if lone else ()),
        ],
    )


def legend(bundles: Sequence[Compared], headings: Sequence[str]) -> Table:
    """Tabulate what the short headings stand for."""
    told = _texts(bundles)
    names = (bundle.name for bundle in bundles)
    rows = zip(headings, names, *told.values(), strict=True)
    return Table(["", "bundle", *told], [list(row) for row in rows])


def short(names: Sequence[str]) -> list[str]:
    """Return the names without the words that all begin with: the model's name, as a rule."""
    equal = takewhile(lambda words: len(set(words)) == 1, zip(*(name.split("-")[:-1] for name in names), strict=False))
    shared = "-".join(words[0] for words in equal)
    return [f"…{name.removeprefix(shared)}" if shared else name for name in names]


def _keys(facts: Sequence[Mapping[str, str | Amount]]) -> dict[str, None]:
    return dict.fromkeys(key for each in facts for key in each)


def _texts(bundles: Sequence[Compared]) -> dict[str, list[str]]:
    """Return the texts in which the bundles differ."""
    found = {key: [b.texts.get(key, DASH) for b in bundles] for key in _keys([b.texts for b in bundles])}
    return {key: cells for key, cells in found.items() if len(set(cells)) > 1}


def _row(key: str, cells: Sequence[str | Amount | None]) -> list[str]:
    amounts = [cell for cell in cells if isinstance(cell, Amount)]
    if not amounts:
        return [key, *(cell if isinstance(cell, str) else DASH for cell in cells)]
    written, unit = (sizes if amounts[0].unit == "bytes" else durations)([amount.value for amount in amounts])
    each = iter(written)
    return [_named(key, unit), *(next(each) if isinstance(cell, Amount) else DASH for cell in cells)]


def _named(name: str, unit: str) -> str:
    return f"{name} ({unit.strip()})" if unit else name
