"""Eight pieces of furniture, each drawn in one colour, its shades and a little wood or metal.

A piece stands at the origin of its brush: y = 0 is the floor, x = 0 its middle.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import ImageDraw

Colour = Sequence[float] | np.ndarray  # red, green, blue in 0..255
_WOOD, _METAL, _LINEN = (112, 92, 76), (128, 126, 124), (246, 244, 238)
_LIGHT, _DARK, _DARKER = 1.1, 0.84, 0.7  # shades


class Brush(NamedTuple):
    """Draws in pixels of the finished picture, from an origin."""

    on: ImageDraw.ImageDraw
    finer: int
    x: float
    y: float

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        self.on.rectangle(self._place(left, top, right, bottom, inside=True), _rgb(colour))

    def rounded(self, left: float, top: float, right: float, bottom: float, radius: float, colour: Colour) -> None:
        self.on.rounded_rectangle(self._place(left, top, right, bottom, inside=True), radius * self.finer, _rgb(colour))

    def ellipse(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        self.on.ellipse(self._place(left, top, right, bottom, inside=True), _rgb(colour))

    def polygon(self, corners: Sequence[tuple[float, float]], colour: Colour) -> None:
        self.on.polygon(self._place(*np.array(corners).ravel()), _rgb(colour))

    def line(self, x0: float, y0: float, x1: float, y1: float, width: float, colour: Colour) -> None:
        self.on.line(self._place(x0, y0, x1, y1), _rgb(colour), round(width * self.finer))

    def _place(self, *numbers: float, inside: bool = False) -> list[int]:
        """Of alternating x and y; `inside` takes one off the last corner, which Pillow would paint too."""
        moved = (np.array(numbers).reshape(-1, 2) + np.array((self.x, self.y))) * self.finer
        if inside:
            moved[-1] -= 1
        return [int(number) for number in np.rint(moved).ravel()]


def _rgb(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (int(np.clip(round(part), 0, 255)) for part in colour)
    return red, green, blue


def _shade(colour: Colour, share: float) -> np.ndarray:
    return np.array(colour) * share


def _sofa(brush: Brush, colour: Colour) -> None:
    _seat(brush, colour, 19, 2)


def _armchair(brush: Brush, colour: Colour) -> None:
    _seat(brush, colour, 11.5, 1)


def _seat(brush: Brush, colour: Colour, half: float, cushions: int) -> None:
    """Back, cushions, two arms, feet."""
    dark = _shade(colour, _DARK)
    for side in (-1, 1):
        brush.box(side * (half - 2.5) - 1, -3, side * (half - 2.5) + 1, 0, _WOOD)
    brush.rounded(-half + 2, -20, half - 2, -4, 3, dark)
    brush.box(-half + 2, -8, half - 2, -2, _shade(colour, _DARKER))
    inner = half - 4.5
    width = 2 * inner / cushions
    for index in range(cushions):
        left = -inner + index * width
        brush.rounded(left + 0.25, -17.5, left + width - 0.25, -10, 1.5, colour)
        brush.rounded(left + 0.25, -10, left + width - 0.25, -5, 1.5, _shade(colour, _LIGHT))
    for left in (-half, half - 5):
        brush.rounded(left, -13, left + 5, -2, 2, colour)


def _chair(brush: Brush, colour: Colour) -> None:
    dark = _shade(colour, _DARK)
    for left in (-7.5, 5):
        brush.box(left, -26, left + 2.5, -10, colour)
    brush.box(-7.5, -26, 7.5, -21, colour)
    brush.box(-7.5, -18.5, 7.5, -15.5, colour)
    for left in (-6, 3.5):
        brush.box(left, -10, left + 2.5, -2, _shade(colour, _DARKER))
    for left in (-8.5, 6):
        brush.box(left, -10, left + 2.5, 0, dark)
    brush.rounded(-9, -13, 9, -8.5, 1, _shade(colour, _LIGHT))


def _table(brush: Brush, colour: Colour) -> None:
    for left in (-13, 10.5):
        brush.box(left, -14, left + 2.5, -2.5, _shade(colour, _DARKER))
    for left in (-17, 13.5):
        brush.box(left, -14, left + 3.5, 0, _shade(colour, _DARK))
    brush.box(-17, -14, 17, -11, _shade(colour, _DARK))
    brush.rounded(-19, -18, 19, -13, 1, colour)


def _lamp(brush: Brush, colour: Colour) -> None:
    """Standing on the floor, in a shade with a lighter middle."""
    brush.box(-0.9, -24, 0.9, -1, _METAL)
    brush.rounded(-6.5, -3, 6.5, 0, 1.2, _shade(colour, _DARK))
    brush.polygon([(-6, -36), (6, -36), (11, -21), (-11, -21)], colour)
    brush.polygon([(-2.5, -36), (2.5, -36), (4.5, -21), (-4.5, -21)], _shade(colour, _LIGHT))
    brush.box(-11, -22, 11, -20.5, _shade(colour, _DARK))


def _bed(brush: Brush, colour: Colour) -> None:
    """From the side: headboard, pillow, a blanket over a white mattress."""
    for left in (-19, 17):
        brush.box(left, -4, left + 2.5, 0, _WOOD)
    brush.rounded(-21, -21, -17.5, -2, 1, _shade(colour, _DARK))
    brush.rounded(18.5, -13, 21, -2, 1, _shade(colour, _DARK))
    brush.box(-18, -10, 19, -5, _LINEN)
    brush.box(-18, -5.5, 19, -3, _shade(colour, _DARK))
    brush.rounded(-17.5, -14, -8.5, -9.5, 1.8, _LINEN)
    brush.rounded(-8, -13, 19, -4.5, 1.8, colour)
    brush.box(-8, -13, -4.5, -4.5, _shade(colour, _LIGHT))


def _bookcase(brush: Brush, colour: Colour) -> None:
    """Three boards of grey and white books."""
    brush.box(-11, -36, 11, 0, colour)
    brush.box(-9, -34, 9, -2, _shade(colour, _DARKER))
    for bottom in (-24, -13, -2):
        for index, height in enumerate((7, 8, 6, 7.5)):
            left = -8.5 + index * 3
            brush.box(left, bottom - height, left + 2.5, bottom, _LINEN if index % 2 else (178, 174, 170))
        brush.box(-11, bottom, 11, bottom + 2, colour)


def _dresser(brush: Brush, colour: Colour) -> None:
    for left in (-13, 10.5):
        brush.box(left, -3, left + 2.5, 0, _WOOD)
    brush.box(-15, -24, 15, -2, _shade(colour, _DARK))
    brush.box(-16, -25, 16, -22.5, _shade(colour, _LIGHT))
    for top in (-21, -14.7, -8.4):
        brush.rounded(-13.5, top, 13.5, top + 5.3, 0.6, colour)
        for knob in (-6, 6):
            brush.ellipse(knob - 1.1, top + 1.6, knob + 1.1, top + 3.8, _LINEN)


FURNITURE: dict[str, Callable[[Brush, Colour], None]] = {
    "sofa": _sofa,
    "armchair": _armchair,
    "chair": _chair,
    "table": _table,
    "lamp": _lamp,
    "bed": _bed,
    "bookcase": _bookcase,
    "dresser": _dresser,
}
