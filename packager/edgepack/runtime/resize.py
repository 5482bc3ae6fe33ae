"""Resizing as Pillow does it, to the last bit, in numpy.

A separable filter, widened by the scale where the image shrinks (antialiasing), with weights in 22-bit fixed point
and a rounding to bytes after each of the two passes. Source: Pillow 13's ``libImaging/Resample.c``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np

from edgepack.arrays import Array
from edgepack.errors import InputError
from edgepack.runtime.processing import Resampling

Span = tuple[int, int]  # from, up to
_BITS = 22  # of Pillow's fixed point
_AT_ONCE = 1 << 24  # bytes of an image that are filtered at once


def resize(
    image: Array, height: int, width: int, resample: str, *, rows: Span | None = None, columns: Span | None = None
) -> Array:
    """Return uint8 [height, width, channels] of uint8 [h, w, channels]; of it only ``rows`` and ``columns``, where
    given.

    Raises InputError for a resampling that does not exist or a side of no pixels.
    """
    if resample not in RESAMPLINGS:
        raise InputError(f"no resampling {resample!r}; known: {', '.join(RESAMPLINGS)}")
    if height < 1 or width < 1 or 0 in image.shape:
        raise InputError(
            f"an image of {image.shape[0]} x {image.shape[1]} pixels would become {height} x {width}",
            hint="give an image with a less extreme aspect ratio",
        )
    rows, columns = rows or (0, height), columns or (0, width)
    if image.shape[:2] == (height, width):
        return np.asarray(image[slice(*rows), slice(*columns)])
    if resample == "nearest":
        return np.asarray(image[_nearest(image.shape[0], height, rows)][:, _nearest(image.shape[1], width, columns)])
    down = _Pass(image.shape[0], height, resample, rows)
    across = _Pass(image.shape[1], width, resample, columns)
    if _down_first(image.shape[0] - height, image.shape[1] - width):
        return across(down(image).swapaxes(0, 1)).swapaxes(0, 1)
    first, last = down.needs
    return down(across(image[first:last].swapaxes(0, 1)).swapaxes(0, 1), offset=first)


def _down_first(rows_lost: int, columns_lost: int) -> bool:
    """Return whether Pillow filters the columns first: since version 13, where more than twice as much goes in
    height.
    """
    return rows_lost > 0 and rows_lost > 2 * columns_lost


def _nearest(size: int, wanted: int, span: Span) -> Array:
    """Return the source pixel of each new one; summed up as Pillow does it, since ties hang on the last bit."""
    steps = np.full(wanted, size / wanted)
    steps[0] /= 2
    return np.asarray(np.cumsum(steps).astype(int)[slice(*span)])


class _Pass:
    """One filter pass over axis 0: from ``size`` to ``wanted`` pixels, of which those in ``span`` are made."""

    def __init__(self, size: int, wanted: int, resample: str, span: Span) -> None:
        self._span, self._same = span, size == wanted
        self._kernel, support = _FILTERS[resample]
        scale = size / wanted
        self._stretch = max(scale, 1.0)
        self._centres = (np.arange(*span) + 0.5) * scale
        reach = support * self._stretch
        self._first = np.maximum((self._centres - reach + 0.5).astype(int), 0)  # C truncates, so astype, not floor
        self._last = np.minimum((self._centres + reach + 0.5).astype(int), size)

    @property
    def needs(self) -> Span:
        """The source pixels that the result is made of."""
        return self._span if self._same else (int(self._first[0]), int(self._last[-1]))

    def __call__(self, image: Array, *, offset: int = 0) -> Array:
        """Return uint8 [span, n, channels] of uint8 [size, n, channels], which may start at pixel ``offset``."""
        if self._same:
            return np.asarray(image[self._span[0] - offset : self._span[1] - offset])
        made = np.empty((len(self._centres), *image.shape[1:]), np.uint8)
        weights = self._weights()
        step = max(_AT_ONCE // max(len(image) * image.shape[2], 1), 1)
        for start in range(0, image.shape[1], step):
            part = slice(start, start + step)
            made[:, part] = self._filtered(np.ascontiguousarray(image[:, part]), weights, offset)
        return made

    def _filtered(self, image: Array, weights: Array, offset: int) -> Array:
        """Return the weighted sums of lines, rounded, uint8 [span, n, channels]."""
        lines = image.reshape(len(image), -1)
        totals = np.empty((len(self._centres), lines.shape[1]))
        bounds = zip(self._first - offset, self._last - offset, weights, totals, strict=True)
        for first, last, weight, total in bounds:
            # products and sums are whole numbers below 2^53: float64 is exact, and BLAS is fast
            np.matmul(weight[: last - first], lines[first:last].astype(np.float64), out=total)
        rounded = np.clip(np.floor(totals / (1 << _BITS) + 0.5), 0, 255).astype(np.uint8)
        return rounded.reshape(len(rounded), *image.shape[1:])

    def _weights(self) -> Array:
        """Return whole numbers, as float64 [span, taps]: how much each source pixel from the first on counts, in
        2^-22.
        """
        places = self._first[:, None] + np.arange(int((self._last - self._first).max()))
        weights = self._kernel((places - self._centres[:, None] + 0.5) * (1.0 / self._stretch))
        weights = np.where(places < self._last[:, None], weights, 0.0)
        totals = np.cumsum(weights, axis=1)[:, -1:]  # one after the other, as C adds them
        weights = np.divide(weights, totals, out=weights, where=totals != 0.0)
        return np.asarray(np.trunc(weights * (1 << _BITS) + np.copysign(0.5, weights)))


def _triangle(x: Array) -> Array:
    return np.asarray(np.maximum(1 - np.abs(x), 0))


def _box(x: Array) -> Array:
    return ((x > -0.5) & (x <= 0.5)).astype(np.float64)


def _hamming(x: Array) -> Array:
    x = np.abs(x)
    window = float(np.float32(0.54)) + float(np.float32(0.46)) * np.cos(x * np.pi)  # Pillow's constants are floats
    return np.asarray(np.where(x < 1, np.sinc(x) * window, 0.0))


def _cubic(x: Array) -> Array:
    """Return weigh by the cubic of Keys 1981 with a = -0.5."""
    x, a = np.abs(x), -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.asarray(np.where(x < 1, near, np.where(x < 2, far, 0.0)))


def _lanczos(x: Array) -> Array:
    return np.asarray(np.where((x >= -3) & (x < 3), np.sinc(x) * np.sinc(x / 3), 0.0))


_FILTERS: dict[str, tuple[Callable[[Array], Array], float]] = {
    "lanczos": (_lanczos, 3.0),
    "bilinear": (_triangle, 1.0),
    "bicubic": (_cubic, 2.0),
    "box": (_box, 0.5),
    "hamming": (_hamming, 1.0),
}
RESAMPLINGS: tuple[Resampling, ...] = get_args(Resampling)  # in the order of Pillow's numbers
