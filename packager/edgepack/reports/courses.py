"""The curve of a bill: what is spent by each day hosted, on device and mixed, and when going on-device has paid off."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgepack.cost.bill import YEAR, Bill, Course
from edgepack.records import NotMeasured
from edgepack.reports.plots import figure, spacing
from edgepack.units import money

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 340, 42, 240  # edges of the drawing, of 420 units
_MOST_YEARS = 10
_LINE = 15  # of text
NAMES = {"hosted": "hosted", "device": "on device", "mixed": "mixed"}


def courses(bill: Bill) -> dict[str, Course]:
    """Return the courses that could be computed, by their field."""
    found = {name: getattr(bill, name) for name in NAMES}
    return {name: course for name, course in found.items() if not isinstance(course, NotMeasured)}


def curve(bill: Bill) -> str:
    """Draw the courses over a year, or as many as it takes to break even (10 at most), with the days of break-even."""
    shown = courses(bill)
    paid = {name: course.pays_off(bill.hosted) for name, course in shown.items() if name != "hosted"}
    days = YEAR * _years([day for day in paid.values() if day is not None])
    step = spacing(max(course.total(days) for course in shown.values()))
    top = step * math.ceil(max(course.total(days) for course in shown.values()) / step)
    drawn = [_grid(step, top), _axis(days)]
    for name, course in shown.items():
        points = " ".join(f"{_x(day, days):.1f},{_y(spent, top):.1f}" for day, spent in _points(course, days))
        drawn.append(f'<polyline class="course {name}" points="{points}"/>')
    marks = _marks({name: day for name, day in paid.items() if day is not None and day <= days})
    for row, (day, said) in enumerate(marks):
        drawn.append(_mark(row, said, _x(day, days), _y(bill.hosted.total(day), top)))
    drawn += _ends(shown, days, top)
    told = ", ".join(f"{NAMES[name]} {money(course.total(days))}" for name, course in shown.items())
    even = "".join(f"; {said}" for _, said in marks)
    span = "the first year" if days == YEAR else f"{days // YEAR} years"
    return figure(f"dollars spent by the end of {span}: {told}{even}", "".join(drawn), _BOTTOM + 30, wide=True)


def _years(paid: Sequence[int]) -> int:
    """Return the years to draw: until the last break-even, where it is not too far off."""
    return max((math.ceil(day / YEAR) for day in paid if day <= YEAR * _MOST_YEARS), default=1)


def _points(course: Course, days: int) -> list[tuple[int, float]]:
    """Return the corners of a course: at the turn of a year, what was spent before and after the year's first costs."""
    points = [(0, course.once), (0, course.total(0))]
    for day in range(YEAR, days + 1, YEAR):
        points.append((day, course.total(day)))
        if day < days:
            points.append((day, course.total(day) + course.yearly))
    return points


def _x(day: float, days: int) -> float:
    return _LEFT + (_RIGHT - _LEFT) * day / days


def _y(dollars: float, top: float) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * dollars / top


def _grid(step: float, top: float) -> str:
    heights = [(step * i, _y(step * i, top)) for i in range(1, round(top / step) + 1)]
    return "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(dollars)}</text>'
        for dollars, y in heights
    )


def _axis(days: int) -> str:
    end = f"day {days}" if days == YEAR else f"{days // YEAR} years"
    return (
        f'<line class="axis" x1="{_LEFT}" x2="{_RIGHT}" y1="{_BOTTOM}" y2="{_BOTTOM}"/>'
        f'<text class="tick" x="{_LEFT}" y="{_BOTTOM + 18}">day 0</text>'
        f'<text class="tick" x="{_RIGHT}" y="{_BOTTOM + 18}" text-anchor="end">{end}</text>'
    )


def _marks(paid: dict[str, int]) -> list[tuple[int, str]]:
    """Return the days of break-even, each with what breaks even then."""
    names = {day: [NAMES[name] for name, other in paid.items() if other == day] for day in paid.values()}
    verb = {1: "breaks", 2: "break"}
    return [(day, f"day {day:,}: {' and '.join(own)} {verb[len(own)]} even") for day, own in names.items()]


def _mark(row: int, said: str, x: float, y: float) -> str:
    """Draw where courses meet the hosted one, and say so above: to the side that has more room."""
    base = _LINE * (row + 1)
    near, anchor = (x - 6, "end") if x > (_LEFT + _RIGHT) / 2 else (x + 6, "start")
    return (
        f'<line class="rule" x1="{x:.1f}" x2="{x:.1f}" y1="{base - 10}" y2="{y:.1f}"/>'
        f'<circle class="spot" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
        f'<text class="over" x="{near:.1f}" y="{base}" text-anchor="{anchor}">{said}</text>'
    )


def _ends(shown: dict[str, Course], days: int, top: float) -> list[str]:
    """Name each curve at its end, its amount below, from the lowest up so far apart that all can be read."""
    names, above = [], math.inf
    for name, course in sorted(shown.items(), key=lambda item: item[1].total(days)):
        above = min(_y(course.total(days), top), above - 2 * _LINE - 2)
        names.append(f'<text x="{_RIGHT + 8}" y="{above:.1f}">{NAMES[name]}</text>')
        names.append(f'<text class="tick" x="{_RIGHT + 8}" y="{above + _LINE:.1f}">{_short(course.total(days))}</text>')
    return names


def _short(dollars: float) -> str:
    """Write an amount in four digits: "$5.475M"."""
    for unit, factor in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if dollars >= factor * 0.99995:
            return f"${dollars / factor:.4g}{unit}"
    return f"${dollars:.4g}"
