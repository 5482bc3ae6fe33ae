"""Compare a figure with a check's limits."""

from __future__ import annotations

import math

from edgepack.metrics.tasks import LESS_IS_BETTER
from edgepack.suites._records import Check, CheckResult
from edgepack.units import duration, size

_KINDS = {"size": (size, "B"), "memory": (size, "B"), "latency": (duration, "s"), "load": (duration, "s")}


def judge(
    check: Check, value: float, original: float | None, interval: tuple[float, float] | None = None
) -> CheckResult:
    """Compare a figure with a check's limits; a relative limit without an original is not measured."""
    missed = []
    for limit, bound in check.limits.items():
        if limit in ("at_least", "at_most"):
            kept = value >= bound if limit == "at_least" else value <= bound
        elif original is None:
            return CheckResult(check=check, value=value, reason=f"{limit} needs the original, which is not here")
        elif not math.isfinite(original):
            return CheckResult(check=check, value=value, reason=f"{limit} needs the original's figure, which has none")
        elif limit == "at_most_loss" and check.sure and interval is None:
            return CheckResult(check=check, value=value, reason="sure needs an interval, which too few samples have")
        elif limit == "at_most_loss":
            kept = loss(check, value, original, interval) <= bound
        else:
            share = value / original if original else float("nan")  # of nothing there is no share
            kept = share >= bound if limit == "at_least_share" else share <= bound
        if not kept:
            missed.append(_told(check, limit, bound, value, original, interval))
    return CheckResult(
        check=check,
        value=value,
        original=original,
        interval=interval,
        passed=not missed,
        reason=", ".join(missed),
    )


def loss(check: Check, value: float, original: float, interval: tuple[float, float] | None) -> float:
    """Return how much worse the value is than the original's; with ``sure``, the worst that the interval allows."""
    if check.metric in LESS_IS_BETTER:
        return interval[1] if check.sure and interval else value - original
    return -interval[0] if check.sure and interval else original - value


def _told(
    check: Check,
    limit: str,
    bound: float,
    value: float,
    original: float | None,
    interval: tuple[float, float] | None,
) -> str:
    """Say in words which limit was missed, and by what."""
    beyond = "below" if limit.startswith("at_least") else "above"
    if original is None or limit in ("at_least", "at_most"):
        return f"{_figure(check, value, bound)} is {beyond} {_figure(check, bound, value)}"
    theirs = f"the original's {_figure(check, original)}"
    if limit != "at_most_loss":
        return f"{_figure(check, value)} is {beyond} {bound:.4g} × {theirs}"
    certain = " by the 95 % interval" if check.sure else ""
    told = "up to " if check.sure else ""
    return f"{told}{loss(check, value, original, interval):.4g} worse than {theirs}{certain}, above {bound:g}"


def _figure(check: Check, value: float, other: float | None = None) -> str:
    """Write a figure in its unit, with more digits where it would look like the ``other``."""
    written, unit = _KINDS.get(check.kind, (None, ""))
    short = f"{value:.4g}" if written is None else written(value)
    if other is None or short != (f"{other:.4g}" if written is None else written(other)):
        return short
    return f"{value:.10g} {unit}".strip()
