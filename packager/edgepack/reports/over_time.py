"""Medians over time: a plot for each input, a line for each device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from edgepack.history import Entry
from edgepack.reports.plots import figure, spaced, text
from edgepack.units import duration

_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 330, 14, 200  # edges of the drawing, of 420 units
_LINE = 14  # of text
_UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))
_MOST = 400  # measurements of a device that are drawn, the last


def over_time(entries: Sequence[Entry]) -> list[str]:
    """Draw the medians of each bundle and input that was measured more than once, with the range of their rounds."""
    found = dict[tuple[str, str], list[Entry]]()
    for entry in entries:
        found.setdefault((entry.bundle, entry.timing.label), []).append(entry)
    return [_drawn(own, f"{bundle} {label}") for (bundle, label), own in found.items() if len(own) > 1]


def _drawn(entries: Sequence[Entry], name: str) -> str:
    """Draw one input's measurements from zero on; those that were disturbed have an empty circle."""
    devices = dict[str, list[Entry]]()
    for entry in entries:
        devices.setdefault(entry.device, []).append(entry)
    devices = {device: own[-_MOST:] for device, own in devices.items()}
    times = [e.at.timestamp() for own in devices.values() for e in own]
    lines = spaced(max(max(_range(e)) for own in devices.values() for e in own))
    first, last, top = min(times), max(times), lines[-1]

    def x(entry: Entry) -> float:
        share = (entry.at.timestamp() - first) / (last - first) if last > first else 0.5
        return _LEFT + (_RIGHT - _LEFT) * share

    def y(seconds: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * seconds / top

    drawn = [_grid(lines, top), _axis(entries)]
    for own in devices.values():
        drawn += [_line(x(a), x(b), y(a.timing.p50), y(b.timing.p50), "thin") for a, b in pairwise(own)]
        for entry in own:
            low, high = _range(entry)
            drawn.append(_line(x(entry), x(entry), y(low), y(high), "axis"))
            drawn.append(_spot(x(entry), y(entry.timing.p50), entry))
    drawn += _names(devices, y)
    last_ones = ", ".join(f"{device} {duration(own[-1].timing.p50)}" for device, own in devices.items())
    return figure(f"{name}: median over time, now {last_ones}", "".join(drawn), _BOTTOM + 30, wide=True)


def _range(entry: Entry) -> tuple[float, float]:
    medians = (entry.timing.p50, *entry.timing.rounds)
    return min(medians), max(medians)


def _grid(lines: Sequence[float], top: float) -> str:
    heights = [(value, _BOTTOM - (_BOTTOM - _TOP) * value / top) for value in lines]
    return "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_tick(value)}</text>'
        for value, y in heights
    )


def _tick(seconds: float) -> str:
    unit, factor = next((unit, factor) for unit, factor in _UNITS if seconds >= factor or factor == _UNITS[-1][1])
    return f"{seconds / factor:.4g} {unit}"


def _axis(entries: Sequence[Entry]) -> str:
    first, last = (f"{entry.at.astimezone():%Y-%m-%d}" for entry in (entries[0], entries[-1]))
    return (
        f'<line class="axis" x1="{_LEFT}" x2="{_RIGHT}" y1="{_BOTTOM}" y2="{_BOTTOM}"/>'
        f'<text class="tick" x="{_LEFT}" y="{_BOTTOM + 18}">{first}</text>'
        f'<text class="tick" x="{_RIGHT}" y="{_BOTTOM + 18}" text-anchor="end">{last}</text>'
    )


def _line(x1: float, x2: float, y1: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>'


def _spot(x: float, y: float, entry: Entry) -> str:
    kind = "mark" if entry.timing.valid else "empty"
    said = f"{entry.label or 'no label'}, {entry.at.astimezone():%Y-%m-%d %H:%M}: {duration(entry.timing.p50)}"
    told = said if entry.timing.valid else f"{said}; {entry.timing.verdict}"
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"><title>{text(told)}</title></circle>'


def _names(devices: dict[str, list[Entry]], y: Callable[[float], float]) -> list[str]:
    """Name each line at its end, from the lowest up so far apart that all can be read."""
    names, above = [], float("inf")
    for device, own in sorted(devices.items(), key=lambda item: item[1][-1].timing.p50):
        above = min(y(own[-1].timing.p50) + 4, above - _LINE)
        names.append(f'<text class="over" x="{_RIGHT + 8}" y="{above:.1f}">{text(device)}</text>')
    return names
