"""Rounds of measuring as machines gave them, for tests of the rules."""

from __future__ import annotations

from dataclasses import replace

from edgepack.records import Conditions, NotMeasured, Where
from edgepack.runtime.conditions import Counters
from edgepack.runtime.rounds import Round

WHERE = Where(machine="a board", isa="arm64", os="Linux", runtime="onnxruntime 1", threads=1, target=True)
QUIET = Counters(wall=3.4, own=3.4, others=0.05, stolen=0.0, waited=0.004)
COOL = Conditions(load=0.3, governor="ondemand", frequency=2.4e9, highest=2.4e9, temperature=55.0, throttled=0)


def measured(median: float = 1e-3, late: float | None = None, runs: int = 40, **changes: object) -> Round:
    """A round whose halves have these medians, disturbed as ``changes`` say."""
    counters = {key: changes.pop(key) for key in ("wall", "others", "stolen", "waited") if key in changes}
    counted = replace(QUIET, **counters)
    half = runs // 2
    facts = {
        "load": 0.1, "cold": False, "first": 2e-3, "warmup": 10, "energy": NotMeasured(reason="none"), "tokens": 0,
        "times": (*[median] * half, *[late or median] * (runs - half)), "counted": counted, "peak_memory": 1,
        "where": WHERE, "before": COOL, "after": COOL,
    }  # fmt: skip
    return Round(**{**facts, **changes})
