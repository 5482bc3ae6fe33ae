"""A table of several bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

from edgepack.reports.table import DASH, Table


def side_by_side(names: Sequence[str], facts: Sequence[Mapping[str, str]]) -> Table:
    """Tabulate the facts of bundles, a column for each; what all their names begin with is left out of the headings."""
    keys = dict.fromkeys(key for each in facts for key in each)
    figures = {key: [each.get(key, DASH) for each in facts] for key in keys}
    rows = [[key, *cells] for key, cells in figures.items() if set(cells) != {DASH}]
    shared = _shared(names)
    short = [f"…{name.removeprefix(shared)}" if shared else name for name in names]
    return Table(["", *short], rows, figures=short)


def _shared(names: Sequence[str]) -> str:
    """Return the words, parted by hyphens, that all names begin with: the model's name, as a rule."""
    equal = takewhile(lambda words: len(set(words)) == 1, zip(*(name.split("-")[:-1] for name in names), strict=False))
    return "-".join(words[0] for words in equal)
