"""A table of a release suite's checks."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.records import NotMeasured
from edgepack.reports.accuracy import figure, unit
from edgepack.reports.table import Cell, Table
from edgepack.suites import CheckResult
from edgepack.units import duration, size

_SIGNS = {"at_least": "≥", "at_most": "≤"}


def checks_table(results: Sequence[CheckResult]) -> Table:
    """Tabulate each check with its value, what it was judged by and its result."""
    rows: list[list[Cell]] = []
    for r in results:
        word = "passed" if r.passed else "not measured" if r.passed is None else "failed"
        told = isinstance(r.value, NotMeasured) and r.value.reason == r.reason
        value = r.value if isinstance(r.value, NotMeasured) else shown(r)
        rows.append([r.check.name, value, limits(r), word, None if told else r.reason or None])
    return Table(["check", "value", "limit", "result", "why"], rows, [r.passed for r in results], figures=["value"])


def limits(result: CheckResult) -> str:
    """Say what a check was judged by."""
    return ", ".join(_limit(result, name, bound) for name, bound in result.check.limits.items())


def _limit(result: CheckResult, name: str, bound: float) -> str:
    if name == "at_most_loss":
        return f"loss ≤ {bound:g}" + (" by the 95 % interval" if result.check.sure else "")
    sign = _SIGNS[name.removesuffix("_share")]
    if name.endswith("_share"):
        return f"{sign} {bound:.4g} × the original's"
    if result.check.kind in ("size", "memory"):
        return f"{sign} {size(bound)}"
    if result.check.kind in ("latency", "load"):
        return f"{sign} {duration(bound)}"
    return f"{'cosine ' if result.check.kind == 'golden' else ''}{sign} {bound:g}{_unit(result)}"


def _unit(result: CheckResult) -> str:
    return " dB" if result.check.kind == "psnr" else unit(result.check.metric)


def shown(result: CheckResult) -> str:
    """Write a check's value in its own unit."""
    if isinstance(result.value, NotMeasured):
        return "not measured"
    if result.check.kind in ("size", "memory"):
        return size(result.value)
    if result.check.kind in ("latency", "load"):
        return duration(result.value)
    return figure(result.value, f"{result.check.metric}_psnr" if result.check.kind == "psnr" else result.check.metric)
