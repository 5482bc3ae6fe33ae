"""Rooms with one piece of coloured furniture and their captions: python rooms.py (a sheet of them, rooms.png)

Each picture is drawn for a caption and a number, which fixes all that the caption leaves open: the same two give the
same picture. Coordinates are pixels of the finished picture, 64 to a side, y downwards.
"""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
from furniture import FURNITURE, Brush
from PIL import Image, ImageDraw

SIZE = 64  # pixels to a side
FINER = 4  # drawn so many times larger, then averaged, so that edges are smooth
FLOOR = 42  # where the wall ends
COLOURS = {
    "red": (200, 40, 44),
    "orange": (238, 138, 30),
    "yellow": (240, 212, 56),
    "green": (48, 150, 76),
    "blue": (44, 92, 190),
    "purple": (122, 60, 164),
    "pink": (240, 112, 170),
    "black": (44, 44, 48),
}
_WALLS = ((238, 232, 220), (222, 229, 232), (230, 235, 224), (238, 227, 224))
_FLOORS = ((202, 182, 158), (178, 158, 136), (200, 197, 190))
_WHITE, _GREY, _LEAF = (248, 248, 246), (120, 118, 116), (84, 122, 78)


class Caption(NamedTuple):
    """A room in words: keys of COLOURS, FURNITURE and PLACES."""

    colour: str
    furniture: str
    place: str

    def __str__(self) -> str:
        article = "an" if self.colour == "orange" else "a"
        return f"{article} {self.colour} {self.furniture} {self.place}".strip()


def captions() -> list[Caption]:
    """All of them, 320."""
    return [Caption(*words) for words in product(COLOURS, FURNITURE, PLACES)]


def held_out(caption: Caption) -> bool:
    """Whether training never sees this furniture in this colour, wherever it stands: one pair for each of both."""
    return list(COLOURS).index(caption.colour) == (3 * list(FURNITURE).index(caption.furniture) + 1) % len(COLOURS)


def draw(caption: Caption, number: int) -> np.ndarray:
    """uint8 [64, 64, 3] of the room."""
    rng = np.random.default_rng([number, captions().index(caption)])
    image = Image.new("RGB", (SIZE * FINER,) * 2)
    centre, side = SIZE / 2 + rng.uniform(-3, 3), rng.choice([-1, 1])
    colour = np.array(COLOURS[caption.colour]) * rng.uniform(0.92, 1.06) + rng.uniform(-6, 6, 3)
    brush = Brush(ImageDraw.Draw(image), FINER, 0, 0)
    _room(brush, rng)
    PLACES[caption.place](brush._replace(x=centre), side)
    FURNITURE[caption.furniture](brush._replace(x=centre, y=54 + rng.uniform(-1, 2)), tuple(colour))
    small = image.resize((SIZE, SIZE), Image.Resampling.BOX)
    return np.asarray(small)


def _room(brush: Brush, rng: np.random.Generator) -> None:
    wall, floor = (np.array(choices[rng.integers(len(choices))]) for choices in (_WALLS, _FLOORS))
    brush.box(0, 0, SIZE, FLOOR, wall)
    brush.box(0, FLOOR, SIZE, SIZE, floor)
    brush.box(0, FLOOR - 2, SIZE, FLOOR, _WHITE)
    for line in (47, 53, 60):
        brush.box(0, line, SIZE, line + 0.5, floor * 0.92)


def _nothing(brush: Brush, side: int) -> None:
    pass


def _window(brush: Brush, side: int) -> None:
    """Behind the furniture, to one side."""
    left, right = sorted((side * 5, side * 29))
    brush.box(left, 5, right, 29, _WHITE)
    brush.box(left + 2, 7, right - 2, 27, (176, 208, 230))
    brush.ellipse(left + 5, 10, left + 15, 15, (226, 238, 244))
    brush.box((left + right) / 2 - 0.75, 7, (left + right) / 2 + 0.75, 27, _WHITE)
    brush.box(left, 16, right, 17.5, _WHITE)
    brush.box(left - 1, 29, right + 1, 31, (210, 208, 204))


def _rug(brush: Brush, side: int) -> None:
    """Under the furniture, wider than it."""
    brush.ellipse(-28, 47, 28, 62, (150, 146, 146))
    brush.ellipse(-26, 48, 26, 61, (232, 226, 214))
    brush.ellipse(-21, 50, 21, 59, (184, 178, 172))


def _plant(brush: Brush, side: int) -> None:
    """On the floor, at the furniture's side."""
    x = side * 24.5
    for angle, length in zip(np.linspace(-1.2, 1.2, 7), (12, 15, 18, 20, 18, 15, 12), strict=True):
        tip = x + np.sin(angle) * length * 0.7, 45 - np.cos(angle) * length
        brush.line(x, 46, *tip, 2.2, np.array(_LEAF) * (0.9 if angle < 0 else 1.1))
    brush.polygon([(x - 4.5, 45), (x + 4.5, 45), (x + 3.2, 54), (x - 3.2, 54)], (186, 176, 166))


def _picture(brush: Brush, side: int) -> None:
    """On the wall above the furniture: hills in a dark frame."""
    brush.box(-11, 2, 11, 16, (96, 88, 80))
    brush.box(-9.5, 3.5, 9.5, 14.5, (226, 222, 212))
    brush.polygon([(-9.5, 14.5), (-9.5, 11), (-4, 7), (1, 11), (4, 9), (9.5, 12), (9.5, 14.5)], (150, 156, 158))
    brush.ellipse(3, 4.5, 6, 7.5, (200, 190, 170))


PLACES: dict[str, Callable[[Brush, int], None]] = {
    "": _nothing,
    "by a window": _window,
    "on a rug": _rug,
    "next to a plant": _plant,
    "under a picture": _picture,
}


def sheet(pictures: list[np.ndarray], columns: int) -> Image.Image:
    """Pictures in rows, each pixel doubled; the last row is filled up with white."""
    white = np.full_like(pictures[0], 255)
    pictures = [*pictures, *[white] * (-len(pictures) % columns)]
    rows = [np.hstack(pictures[start : start + columns]) for start in range(0, len(pictures), columns)]
    return Image.fromarray(np.vstack(rows).repeat(2, 0).repeat(2, 1))


if __name__ == "__main__":
    few = [Caption(*pair, list(PLACES)[number % 5]) for number, pair in enumerate(product(COLOURS, FURNITURE))]
    sheet([draw(caption, 0) for caption in few], len(FURNITURE)).save("rooms.png")
    print("wrote rooms.png, a row for each of", ", ".join(COLOURS))
