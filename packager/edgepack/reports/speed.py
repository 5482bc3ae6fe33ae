"""A table of what was measured of speed."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.records import NotMeasured, Timing, Timings, Where
from edgepack.reports.table import Cell, Table
from edgepack.runtime import estimate, quiet
from edgepack.units import duration, size
from edgepack.units import energy as joules

_NEEDED = {"p90": 64, "p99": 662}  # runs: see runtime/percentiles.py
_LARGE = 100  # tokens per second, from which no fraction is shown


def speed_table(timings: Timings) -> Table:
    """Tabulate percentiles, load time and memory; of language models the tokens per second of the median run too.

    A percentile that no input has enough runs for has no column. Notes say on what machine it was measured, whether
    that is the target, and which figures are not to be trusted.
    """
    if isinstance(timings, NotMeasured):
        return Table(["speed"], [], notes=[str(timings)])
    head = [
        "input", "tokens/s", "p50", "p90", "p99", "per second", "first", "load", "cold load", "energy", "peak memory",
        "runs",
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            t.label,
            per_second(t.tokens / t.p50) if t.tokens else None,
            duration(t.p50),
            *(percentile(getattr(t, name), name, timings) for name in ("p90", "p99")),
            _throughput(t),
            duration(t.first),
            duration(t.load),
            None if isinstance(t.load_cold, NotMeasured) else duration(t.load_cold),
            None if isinstance(t.energy, NotMeasured) else joules(t.energy),
            memory(t),
            f"{t.runs:,}",
        ]
        for t in timings
    ]
    return Table(head, rows, figures=head[1:], notes=_remarks(timings))


def per_second(tokens: float) -> str:
    """Write tokens per second with three digits or more, and no fraction of large numbers."""
    return f"{tokens:,.0f}" if tokens >= _LARGE else f"{tokens:.1f}"


def _throughput(timing: Timing) -> str | None:
    """Write the inferences per second; of language models there are tokens per second in their place."""
    return None if timing.tokens or isinstance(timing.throughput, NotMeasured) else per_second(timing.throughput)


def memory(timing: Timing) -> Cell:
    """Write the peak memory."""
    return timing.peak_memory if isinstance(timing.peak_memory, NotMeasured) else size(timing.peak_memory)


def percentile(value: float | NotMeasured, name: str, timings: Sequence[Timing]) -> Cell:
    """Write a percentile; none where none of ``timings`` has it."""
    if isinstance(value, NotMeasured):
        anywhere = any(not isinstance(getattr(t, name), NotMeasured) for t in timings)
        return NotMeasured(reason=f"fewer than {_NEEDED[name]} runs give no {name}") if anywhere else None
    return duration(value)


def _remarks(timings: Sequence[Timing]) -> list[str]:
    untrusted = (f"{t.label} may be wrong: {t.verdict}{_often(t)}" for t in timings if not t.valid)
    return [*_whole(timings), *dict.fromkeys(place(t.where) for t in timings), *_shortness(timings), *untrusted]


def place(where: Where) -> str:
    """Say on what something was measured."""
    features = f" ({', '.join(where.features)})" if where.features else ""
    threads = f"{where.threads} {'thread' if where.threads == 1 else 'threads'}"
    return f"measured on {where.machine}{features}, {threads}{'' if where.target else '; it is not the target'}"


def _often(timing: Timing) -> str:
    return f" (measured {timing.attempts} times)" if timing.attempts > 1 else ""


def _shortness(timings: Sequence[Timing]) -> list[str]:
    if not any(map(quiet.short, timings)):
        return []
    return [f"a short measurement; at least {quiet.FULL_RUNS} runs and {quiet.FULL_SECONDS:.0f} s make a full one"]


def _whole(timings: Sequence[Timing]) -> list[str]:
    """Say how long a result of several submodels takes, where that can be estimated."""
    seconds = estimate.whole(timings)
    if seconds is None:
        return []
    taken = estimate.said(estimate.calls(timings))
    return [f"a result takes about {duration(seconds)}, estimated: {taken} at their medians, without loading"]
