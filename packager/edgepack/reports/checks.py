"""A table of a release suite's checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from edgepack.records import NotMeasured
from edgepack.reports.accuracy import figure, unit
from edgepack.reports.speed import place
from edgepack.reports.table import Cell, Noted, Table
from edgepack.suites import CheckResult, loss
from edgepack.units import duration, size

_SIGNS = {"at_least": "≥", "at_most": "≤"}


def checks_table(results: Sequence[CheckResult]) -> Table:
    """Tabulate each check with its value, the original's, what it was judged by and its result.

    Remarks that several checks share are told once, below, and so is on what they were measured.
    """
    said = Counter(remark for r in results for remark in {*_remarks(r)})
    rows: list[list[Cell]] = []
    for r in results:
        word = "passed" if r.passed else "not measured" if r.passed is None else "failed"
        value = r.value if isinstance(r.value, NotMeasured) else shown(r)
        original = None if r.original is None else _figure(r, r.original)
        rows.append([r.check.name, value, original, limits(r), word, _why(r, said)])
    head = ["check", "value", "original", "limit", "result", "why"]
    places = [f"{place(r.where)}, {r.where.runtime}" for r in results if r.where]
    return Table(head, rows, [r.passed for r in results], figures=["value", "original"], notes=[*dict.fromkeys(places)])


def _remarks(result: CheckResult) -> list[str]:
    """Return the parts of a result's reason, but for what stands in the place of its value."""
    told = isinstance(result.value, NotMeasured) and result.value.reason == result.reason
    return [] if told or not result.reason else result.reason.split("; ")


def _why(result: CheckResult, said: Mapping[str, int]) -> Cell:
    remarks = _remarks(result)
    shared = tuple(remark for remark in remarks if said[remark] > 1)
    own = "; ".join(remark for remark in remarks if remark not in shared)
    return Noted(own, shared) if shared else own or None


def limits(result: CheckResult) -> str:
    """Say what a check was judged by."""
    return ", ".join(_limit(result, name, bound) for name, bound in result.check.limits.items())


def _limit(result: CheckResult, name: str, bound: float) -> str:
    if name == "at_most_loss":
        return f"loss{_lost(result)} ≤ {bound:g}" + (" by the 95 % interval" if result.check.sure else "")
    sign = _SIGNS[name.removesuffix("_share")]
    if name.endswith("_share"):
        return f"{sign} {bound:.4g} × the original's"
    if result.check.kind in ("size", "memory"):
        return f"{sign} {size(bound)}"
    if result.check.kind in ("latency", "load"):
        return f"{sign} {duration(bound)}"
    return f"{'cosine ' if result.check.kind == 'golden' else ''}{sign} {bound:g}{_unit(result)}"


def _lost(result: CheckResult) -> str:
    """Return the loss behind a space; "" where there is none."""
    if result.passed is None or result.original is None or isinstance(result.value, NotMeasured):
        return ""
    return f" {loss(result.check, result.value, result.original, result.interval):.4g}"


def _unit(result: CheckResult) -> str:
    return " dB" if result.check.kind == "psnr" else unit(result.check.metric)


def shown(result: CheckResult) -> str:
    """Write a check's value in its own unit."""
    if isinstance(result.value, NotMeasured):
        return "not measured"
    return _figure(result, result.value)


def _figure(result: CheckResult, value: float) -> str:
    if result.check.kind in ("size", "memory"):
        return size(value)
    if result.check.kind in ("latency", "load"):
        return duration(value)
    return figure(value, f"{result.check.metric}_psnr" if result.check.kind == "psnr" else result.check.metric)
