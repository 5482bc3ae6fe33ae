"""Tables and the page of recipes that were measured on a device."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from edgepack import reports
from edgepack.documents import JsonDict
from edgepack.records import NotMeasured
from edgepack.reports import checks, plots
from edgepack.reports.page import Section
from edgepack.reports.speed import speed_table
from edgepack.reports.table import Cell, Table
from edgepack.tuning import Candidate
from edgepack.units import duration, size


def table(candidates: Sequence[Candidate], front: Collection[str], choice: str) -> Table:
    """Tabulate what each recipe keeps and how fast it is, the fastest first."""
    first = next((each.results[0].check.name for each in candidates if each.results), "")
    rows: list[list[Cell]] = []
    ordered = sorted(candidates, key=_by_speed)
    for each in ordered:
        seconds = each.seconds
        kept = None if each.trouble else checks.shown(each.results[0]) if each.results else None
        missed = [result.check.name for result in each.results if not result.passed]
        marks = [word for word, is_so in (("chosen", each.recipe == choice), ("front", each.recipe in front)) if is_so]
        said = [
            *marks,
            *(["disturbed"] if each.disturbed else []),
            *([f"misses {', '.join(missed)}"] if missed else []),
            *([each.trouble] if each.trouble else []),
        ]
        rows.append(
            [each.recipe, size(each.bytes) if each.bytes else None, kept,
             duration(seconds) if isinstance(seconds, float) else None if each.trouble else seconds,
             "; ".join(said) or None]
        )  # fmt: skip
    head = ["recipe", "model files", first or "floor", "time", "remarks"]
    passed = [each.kept for each in ordered]
    notes = ["front: no other recipe is both faster and finer"] if front else []
    if any(each.disturbed for each in candidates):
        notes.append("disturbed: something else ran meanwhile, so that the time may be wrong")
    return Table(head, rows, passed, figures=head[1:4], notes=notes)


def page(
    title: str, verdict: tuple[str, bool], facts: Mapping[str, str], candidates: Sequence[Candidate], summary: Table
) -> str:
    """Render the HTML page."""
    timed = [(each.recipe, each.seconds) for each in candidates if isinstance(each.seconds, float)]
    drawn = [plots.bars([(name, seconds * 1e3, duration(seconds)) for name, seconds in timed], "time")]
    sections = [Section("Recipes", summary, drawn if timed else [])]
    for each in candidates:
        if not each.trouble:
            sections.append(Section(f"{each.recipe}: agreement", checks.checks_table(each.results)))
            sections.append(Section(f"{each.recipe}: speed", speed_table(each.timings)))
    return reports.rendered(title, verdict, facts, sections)


def of(candidates: Sequence[Candidate], front: Collection[str], choice: str) -> list[JsonDict]:
    """Return the candidates as plain JSON values."""
    return [
        {
            "recipe": each.recipe,
            "bundle": None if each.path is None else str(each.path),
            "bytes": each.bytes,
            "seconds": each.seconds if isinstance(each.seconds, float) else None,
            "not_measured": each.seconds.reason if isinstance(each.seconds, NotMeasured) else None,
            "disturbed": [timing.verdict for timing in each.disturbed],
            "floors": {
                result.check.name: {
                    "value": result.value if isinstance(result.value, float) else None,
                    **result.check.limits,
                    "passed": result.passed,
                }
                for result in each.results
            },
            "front": each.recipe in front,
            "chosen": each.recipe == choice,
            "error": each.trouble or None,
        }
        for each in candidates
    ]


def _by_speed(candidate: Candidate) -> tuple[bool, float]:
    seconds = candidate.seconds
    return (False, seconds) if isinstance(seconds, float) else (True, 0.0)
