"""Images of the original and the bundle side by side, and how far the bundle drifts from step to step."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

import numpy as np

from edgepack.arrays import Array
from edgepack.metrics.images import ImagePair
from edgepack.printable import printable
from edgepack.reports.plots import figure
from edgepack.runtime import png

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 384, 18, 184  # edges of the drawing, of 420 units
_SHOWN = 6  # pairs of images of a report, each of which takes their bytes
_LINES = 5  # across, at most


def figures(pairs: Sequence[ImagePair]) -> list[str]:
    """Return the drift curve, and behind it the first pairs of images."""
    if not pairs:
        return []
    return [drift([pair.by_step for pair in pairs]), *(_pair(pair) for pair in pairs[:_SHOWN])]


def drift(courses: Sequence[Sequence[float]]) -> str:
    """Draw the PSNR of the latents after each run of the UNet: a thin line for each prompt, a thick one for their mean.

    Prompts of fewer steps than others end earlier, and the mean is of those that go so far.
    """
    longest = max(map(len, courses))
    means = [float(np.mean([course[i] for course in courses if i < len(course)])) for i in range(longest)]
    every = [value for course in courses for value in course]
    low, high, lines = _scale(min(every), max(every))
    drawn = [_grid(low, high, lines), _axis(longest)]
    if len(courses) > 1:
        drawn += [f'<polyline class="thin" points="{_points(course, low, high, longest)}"/>' for course in courses]
    drawn.append(f'<polyline class="course mixed whole" points="{_points(means, low, high, longest)}"/>')
    drawn += [_spot(i, value, low, high, longest) for i, value in enumerate(means)]
    of = "1 prompt" if len(courses) == 1 else f"{len(courses)} prompts, and their mean"
    ends = f"{means[0]:.1f} dB after the first, {means[-1]:.1f} dB after the last of {longest}"
    title = f"PSNR (dB) of the latents after each run of the UNet, of {of}: {ends}"
    return figure(title, "".join(drawn), _BOTTOM + 30, wide=True)


def _scale(least: float, most: float) -> tuple[float, float, list[float]]:
    """Return the ends of the axis in whole steps of 1, 2, 5, 10, …, and its lines."""
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 1000) if (most - least) / s <= _LINES - 2 or s == 1000)
    low, high = step * np.floor(least / step), step * np.ceil(most / step)
    if low == high:
        low, high = low - step, high + step
    return float(low), float(high), [float(value) for value in np.arange(low, high + step / 2, step)]


def _x(index: int, longest: int) -> float:
    return _LEFT + (_RIGHT - _LEFT) * (index / (longest - 1) if longest > 1 else 0.5)


def _y(value: float, low: float, high: float) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * (value - low) / (high - low)


def _points(course: Sequence[float], low: float, high: float, longest: int) -> str:
    return " ".join(f"{_x(i, longest):.1f},{_y(value, low, high):.1f}" for i, value in enumerate(course))


def _spot(index: int, value: float, low: float, high: float, longest: int) -> str:
    return (
        f'<circle class="mark" cx="{_x(index, longest):.1f}" cy="{_y(value, low, high):.1f}" r="3.5">'
        f"<title>run {index + 1}: {value:.2f} dB</title></circle>"
    )


def _grid(low: float, high: float, lines: Sequence[float]) -> str:
    heights = [(value, _y(value, low, high)) for value in lines]
    return "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
        for value, y in heights
    )


def _axis(longest: int) -> str:
    last = f'<text class="tick" x="{_RIGHT}" y="{_BOTTOM + 20}" text-anchor="end">run {longest}</text>'
    return f'<text class="tick" x="{_LEFT}" y="{_BOTTOM + 20}">run 1</text>{last if longest > 1 else ""}'


def _pair(pair: ImagePair) -> str:
    """Return both images of a prompt as PNG files inside the page."""
    steps = "1 step" if pair.steps == 1 else f"{pair.steps} steps"
    said = f"“{pair.prompt}”, seed {pair.seed}, {steps}: image PSNR {pair.image_psnr:.1f} dB"
    shown = "".join(
        f'<div><img alt="{_text(f"{whose}: {pair.prompt}")}" src="{_uri(pixels)}" width="{pixels.shape[1]}" '
        f'height="{pixels.shape[0]}"><p>{whose}</p></div>'
        for whose, pixels in (("original", pair.original), ("bundle", pair.compressed))
    )
    return f'<figure class="pair"><div class="both">{shown}</div><figcaption>{_text(said)}</figcaption></figure>'


def _uri(pixels: Array) -> str:
    return f"data:image/png;base64,{base64.b64encode(png.encoded(pixels)).decode()}"


def _text(value: str) -> str:
    return html.escape(printable(value))
