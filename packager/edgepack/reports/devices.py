"""One bundle's speed over devices, and the state in which they were measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from edgepack.errors import EdgepackError
from edgepack.records import Conditions, NotMeasured, Timing, Timings
from edgepack.reports import plots, speed
from edgepack.reports.table import Cell, Table
from edgepack.units import duration

Benched = Sequence[tuple[str, Timings | EdgepackError]]  # by device: its timings, or why there are none
_UNTIMED = ("p50", "p90", "load", "peak memory", "runs")


def speed_table(benched: Benched) -> Table:
    """Tabulate the speed on each device; one that failed has a row with its error."""
    head = ["device", "input", "tokens/s", *_UNTIMED, "processor", "remarks"]
    rows: list[list[Cell]] = []
    together = [timing for _, timing in timed(benched)]
    passed: list[bool | None] = []
    for device, found in benched:
        if isinstance(found, EdgepackError | NotMeasured):
            rows.append([device, *[None] * (len(head) - 2), str(found)])
            passed.append(False if isinstance(found, EdgepackError) else None)
        else:
            rows += [_row(device, timing, together) for timing in found]
            passed += [None] * len(found)
    return Table(head, rows, passed, figures=head[2:-2])


def conditions_table(benched: Benched) -> Table:
    """Tabulate the state of each machine before and after, as far as it tells."""
    head = ["device", "input", "load", "governor", "GHz", "°C", "throttled", "attempts"]
    rows: list[list[Cell]] = [
        [
            device,
            timing.label,
            _both(timing, lambda state: None if state.load is None else f"{state.load:.2f}"),
            _both(timing, lambda state: state.governor),
            _both(timing, lambda state: None if state.frequency is None else f"{state.frequency / 1e9:.2f}"),
            _both(timing, lambda state: None if state.temperature is None else f"{state.temperature:.0f}"),
            _both(timing, _throttled),
            str(timing.attempts),
        ]
        for device, timing in timed(benched)
    ]
    notes = ["before → after; load: average number of processes that ran in a minute"] if rows else []
    return Table(head, rows, figures=["load", "GHz", "°C", "attempts"], notes=notes)


def bars(benched: Benched) -> list[str]:
    """Draw the median of each input over the devices, where there are several."""
    inputs = dict.fromkeys(timing.label for _, timing in timed(benched))
    drawn = [
        [(device, t.p50 * 1e3, duration(t.p50)) for device, t in timed(benched) if t.label == label] for label in inputs
    ]
    return [plots.bars(own, f"{label}, median") for label, own in zip(inputs, drawn, strict=True) if len(own) > 1]


def timed(benched: Benched) -> Iterator[tuple[str, Timing]]:
    """Yield the timings, each with its device."""
    for device, found in benched:
        if not isinstance(found, EdgepackError | NotMeasured):
            yield from ((device, timing) for timing in found)


def _row(device: str, timing: Timing, together: Sequence[Timing]) -> list[Cell]:
    return [
        device,
        timing.label,
        speed.per_second(timing.tokens / timing.p50) if timing.tokens else None,
        duration(timing.p50),
        speed.percentile(timing.p90, "p90", together),
        duration(timing.load),
        speed.memory(timing),
        f"{timing.runs:,}",
        timing.where.machine,
        "; ".join(_remarks(timing)) or None,
    ]


def _remarks(timing: Timing) -> Iterator[str]:
    if not timing.where.target:
        yield "not the target"
    if not timing.valid:
        yield timing.verdict


def _both(timing: Timing, told: Callable[[Conditions], str | None]) -> str | None:
    """Return what a machine told before and after; once where that is the same."""
    states = [told(state) for state in (timing.before, timing.after) if state is not None]
    return " → ".join(dict.fromkeys(state for state in states if state is not None)) or None


def _throttled(state: Conditions) -> str | None:
    if state.throttled is not None:
        return f"{state.throttled:#x}"
    return None if state.thermal_status is None else f"status {state.thermal_status}"
