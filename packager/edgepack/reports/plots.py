"""Small plots as inline SVG, in the page's own colours (CSS variables), each with a text for screen readers."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np

from edgepack.printable import printable

_WIDTH, _HEIGHT, _MARGIN = 340, 200, 36  # units of about a pixel on a phone, where text must stay legible
_WIDE = 420
_BINS = 24
_LINES = 4  # across a drawing, at most
_NARROW = 1e-9  # of a range, relative
_MOST_POINTS = 2000
_NAMES, _LONGEST = 108, 150  # of a bar: where it begins, and the width of the largest
_SHORT = 14  # characters of a name that fit in front of its bar


def histogram(values: Sequence[float], name: str) -> str:
    """Draw how often each value occurs; the caption names the lowest."""
    array = np.asarray(values, float)
    least, most = float(array.min()), float(array.max())
    size = max(abs(least), abs(most))
    around = 0.0 if most - least > _NARROW * size else 0.01 * (size or 1.0)  # too narrow to be cut into bins
    counts, edges = np.histogram(array, bins=_BINS, range=(least - around, most + around))
    width = (_WIDTH - 2 * _MARGIN) / _BINS
    tallest = max(int(counts.max()), 1)
    bars = "".join(
        f'<rect class="mark" x="{_MARGIN + i * width + 0.5:.1f}" width="{width - 1:.1f}" '
        f'y="{_HEIGHT - _MARGIN - h:.1f}" height="{h:.1f}">'
        f"<title>{edges[i]:.5g} to {edges[i + 1]:.5g}: {count}</title></rect>"
        for i, count in enumerate(counts)
        if (h := count / tallest * (_HEIGHT - 2 * _MARGIN))
    )
    known = name.replace("sqnr_db", "SQNR (dB)")
    title = f"{known} of each of {len(array)} samples: lowest {array.min():.5g}, mean {array.mean():.5g}"
    return figure(title, bars + _axis(edges[0], edges[-1], tallest))


def scatter(pairs: Sequence[tuple[float, float]], x: str, y: str) -> str:
    """Draw each sample's prediction by both models, with the line on which they agree."""
    array = np.asarray(pairs, float)[:: max(len(pairs) // _MOST_POINTS, 1)]
    low, high = float(array.min()), float(array.max())
    span = (high - low) or 1.0
    inner = _WIDTH - 2 * _MARGIN, _HEIGHT - 2 * _MARGIN
    dots = "".join(
        f'<circle class="dot" cx="{_MARGIN + (a - low) / span * inner[0]:.1f}" '
        f'cy="{_HEIGHT - _MARGIN - (b - low) / span * inner[1]:.1f}" r="2"/>'
        for a, b in array
    )
    line = f'<line class="rule" x1="{_MARGIN}" y1="{_HEIGHT - _MARGIN}" x2="{_WIDTH - _MARGIN}" y2="{_MARGIN}"/>'
    return figure(f"prediction of each sample: {x} across, {y} up", line + dots + _axis(low, high, None))


def intervals(changes: Sequence[tuple[str, tuple[float, float]]]) -> str:
    """Draw the 95 % interval of each metric's difference, with a line at no difference."""
    reach = max(abs(edge) for _, interval in changes for edge in interval) * 1.15 or 1.0
    middle, half = _WIDTH / 2, _WIDTH / 2 - _MARGIN
    height = 34 * len(changes) + 2 * _MARGIN
    rows = []
    for i, (name, (low, high)) in enumerate(changes):
        y = _MARGIN + 34 * i + 17
        x1, x2 = middle + low / reach * half, middle + high / reach * half
        rows.append(
            f'<text x="{_MARGIN}" y="{y - 8}">{text(name)}</text>'
            f'<line class="bar" x1="{x1:.1f}" x2="{max(x2, x1 + 1):.1f}" y1="{y}" y2="{y}"/>'
        )
    rule = f'<line class="rule" x1="{middle}" x2="{middle}" y1="{_MARGIN / 2}" y2="{height - _MARGIN}"/>'
    labels = (
        f'<text class="tick" x="{_MARGIN}" y="{height - 8}">{-reach:.2g}</text>'
        f'<text class="tick" x="{middle}" y="{height - 8}" text-anchor="middle">no difference</text>'
        f'<text class="tick" x="{_WIDTH - _MARGIN}" y="{height - 8}" text-anchor="end">{reach:+.2g}</text>'
    )
    return figure("bundle less original, 95 % interval", rule + "".join(rows) + labels, height)


def bars(values: Sequence[tuple[str, float, str]], title: str) -> str:
    """Draw (name, value, label) as horizontal bars."""
    most = max((value for _, value, _ in values), default=0) or 1.0
    above = any(len(name) > _SHORT for name, _, _ in values)  # each name over its bar
    step, start, drop = (44, 0, 18) if above else (28, _NAMES, 0)
    height = step * len(values) + 16
    widths = [max(value / most * _LONGEST, 1) for _, value, _ in values]
    rows = "".join(
        f'<text x="0" y="{step * i + 24}">{text(name)}</text>'
        f'<rect class="mark" x="{start}" y="{step * i + 11 + drop}" height="18" width="{width:.1f}"/>'
        f'<text class="tick" x="{start + 6 + width:.1f}" y="{step * i + 24 + drop}">{text(label)}</text>'
        for i, ((name, _, label), width) in enumerate(zip(values, widths, strict=True))
    )
    told = ", ".join(f"{name} {label}" for name, _, label in values)
    return figure(f"{title}: {told}", rows, height, caption=title)


def _axis(low: float, high: float, tallest: int | None) -> str:
    base = _HEIGHT - _MARGIN
    top = (
        ""
        if tallest is None
        else f'<text class="tick" x="{_MARGIN - 6}" y="{_MARGIN + 4}" text-anchor="end">{tallest}</text>'
    )
    return (
        f'<line class="axis" x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="{base}" y2="{base}"/>{top}'
        f'<text class="tick" x="{_MARGIN}" y="{base + 18}">{low:.5g}</text>'
        f'<text class="tick" x="{_WIDTH - _MARGIN}" y="{base + 18}" text-anchor="end">{high:.5g}</text>'
    )


def figure(title: str, inside: str, height: float = _HEIGHT, *, caption: str = "", wide: bool = False) -> str:
    """Frame a drawing of 340 by ``height`` units, 420 where it is ``wide``.

    Screen readers read ``title``, by default the caption too.
    """
    kind, width = (' class="wide"', _WIDE) if wide else ("", _WIDTH)
    return (
        f'<figure{kind}><svg viewBox="0 0 {width} {height:g}" role="img" aria-label="{text(title)}">{inside}</svg>'
        f"<figcaption>{text(caption or title)}</figcaption></figure>"
    )


def spaced(most: float) -> list[float]:
    """Return round values from above zero to ``most`` or a little more, 1, 2 or 5 times a power of ten apart."""
    step = spacing(most)
    return [step * i for i in range(1, math.ceil(most / step - 1e-9) + 1)]


def spacing(most: float) -> float:
    """Return the distance of those values."""
    least = max(most, 1e-9) / _LINES
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))


def text(value: str) -> str:
    """Return a text as it stands in a page."""
    return html.escape(printable(value))
