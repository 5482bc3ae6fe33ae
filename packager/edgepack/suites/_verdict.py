"""Compare a figure with a check's limits."""

from __future__ import annotations

import math

from edgepack.metrics.tasks import LESS_IS_BETTER
from edgepack.suites._records import Check, CheckResult


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
            loss = _loss(check, value, original, interval)
            kept = loss <= bound
        else:
            share = value / original if original else float("nan")  # of nothing there is no share
            kept = share >= bound if limit == "at_least_share" else share <= bound
        if not kept:
            missed.append(f"{limit} {bound:g}")
    return CheckResult(
        check=check,
        value=value,
        original=original,
        interval=interval,
        passed=not missed,
        reason=", ".join(missed) and f"misses {', '.join(missed)}",
    )


def _loss(check: Check, value: float, original: float, interval: tuple[float, float] | None) -> float:
    """Return how much worse the value is than the original's; with ``sure``, the worst that the interval allows."""
    if check.metric in LESS_IS_BETTER:
        return interval[1] if check.sure and interval else value - original
    return -interval[0] if check.sure and interval else original - value
