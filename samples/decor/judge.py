"""Which colour and which furniture a picture of a room shows, by rules on its pixels; no model has a say in it.

A pixel has a colour if its saturation, (largest - smallest) / largest of red, green and blue, is 0.4 or more: the one
of COLOURS whose hue is nearest. It is black if its largest part is below 90 of 255. Walls, floors and the other things
in a room are all paler. Only the middle of the picture counts, where furniture stands.

The asked colour dominates if it has more than half of the middle's coloured pixels, and at least half as many as the
furniture has on average when it is drawn. The furniture is the one whose drawn outline overlaps most with the pixels
of the asked colour, shifted by up to four pixels.
"""

import colorsys
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
from furniture import FURNITURE
from rooms import COLOURS, Caption, draw

_MIDDLE = np.s_[12:60, 8:56]  # rows, columns
_SATURATED, _DARK = 0.4, 90
_REACH = 4  # pixels that an outline is shifted by
_DRAWN = 24  # pictures that an outline is the mean of


class Verdict(NamedTuple):
    """Whether a picture shows what was asked for."""

    colour: bool
    furniture: bool


def judge(caption: Caption, picture: np.ndarray) -> Verdict:
    """Of uint8 [64, 64, 3]."""
    colours = coloured(picture)[_MIDDLE]
    asked = colours == caption.colour
    enough = asked.sum() >= outline(caption.furniture).sum() / 2
    dominant = enough and asked.sum() > (colours != "").sum() / 2
    fit = {name: _overlap(asked, outline(name)) for name in FURNITURE}
    return Verdict(bool(dominant), max(fit, key=fit.__getitem__) == caption.furniture)


def coloured(picture: np.ndarray) -> np.ndarray:
    """Names of colours [h, w], "" where there is none."""
    parts = picture.astype(np.float32)
    most, least = parts.max(-1), parts.min(-1)
    names = [name for name in COLOURS if name != "black"]
    angles = 2 * np.pi * np.array([colorsys.rgb_to_hsv(*COLOURS[name])[0] for name in names])
    red, green, blue = np.moveaxis(parts, -1, 0)
    hue = np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue)
    nearest = np.array(names)[np.cos(hue[..., None] - angles).argmax(-1)]
    found = np.where(most - least >= _SATURATED * np.maximum(most, 1), nearest, "")
    return np.where(most < _DARK, "black", found)


@cache
def outline(furniture: str) -> np.ndarray:
    """Share of drawings [h, w] in which a pixel of the middle has the furniture's colour."""
    shown = [Caption(colour, furniture, "") for colour in COLOURS if colour != "black"]
    every = [coloured(draw(shown[n % len(shown)], n))[_MIDDLE] != "" for n in range(_DRAWN)]
    return np.mean(every, axis=0)


def _overlap(found: np.ndarray, drawn: np.ndarray) -> float:
    """Intersection over union, the best of all shifts."""
    shifts = product(range(-_REACH, _REACH + 1), repeat=2)
    moved = (np.roll(drawn, shift, (0, 1)) for shift in shifts)
    return max(float(np.minimum(found, one).sum() / np.maximum(found, one).sum()) for one in moved)
