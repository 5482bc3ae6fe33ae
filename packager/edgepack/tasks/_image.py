"""Parts of the image tasks: how images become inputs, and images that edgepack draws."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from edgepack import plugins
from edgepack.arrays import Array, Example
from edgepack.documents import Json
from edgepack.runtime.image import unsized
from edgepack.runtime.processing import Image

_IMAGES = 64
_FILES = slice(9, None, 4)  # places of files
# Shapes that show a wrong resize or crop: very wide and tall, smaller than any crop, odd, a line, grey. They take the
# place of every eighth drawn image, at odd indices: those measure agreement and do not calibrate.
# Files of every kind take others, behind those that golden vectors are made of; _image_files.py makes them.
_AWKWARD = ((48, 700, 3), (700, 48, 3), (11, 17, 3), (225, 301), (1, 40, 3), (97, 33, 3), (256, 256), (150, 224, 3))
_FILE = (61, 90)  # pixels of the files' images


def images(image: Image) -> list[Example]:
    """Draw seeded images, uint8 [h, w, 3] or grey [h, w], some as a file's bytes: smooth fields with shapes on them.

    The sizes vary, unless the processor neither resizes nor crops: then all have the model's.
    """
    return list(_drawn((image.size.height, image.size.width) if unsized(image.steps) else None))


@lru_cache(maxsize=4)
def _drawn(fixed: tuple[int, int] | None) -> Sequence[Example]:
    """Return the images of all models, or those of one size; the arrays are for reading alone."""
    rng = np.random.default_rng(0)
    drawn: list[Example] = [_image(rng, fixed) for _ in range(_IMAGES)]
    for index, shape in enumerate(_AWKWARD):
        made = _draw(rng, *(fixed or shape[:2]))
        drawn[8 * index + 7] = made if len(shape) == 3 else made[..., 0]
    files = plugins.load_module("edgepack.tasks._image_files").files(_draw(rng, *(fixed or _FILE)))
    for place, file in zip(range(_IMAGES)[_FILES], files.values(), strict=False):
        drawn[place] = file
    for one in drawn:
        if isinstance(one, np.ndarray):
            one.setflags(write=False)
    return drawn


def example(value: Json) -> Example:
    """Return a data set's image: a path, or rows of numbers 0..255."""
    return np.asarray(value, np.uint8) if isinstance(value, list) else value


def _image(rng: np.random.Generator, fixed: tuple[int, int] | None) -> Array:
    height, width = (int(side) for side in rng.integers(96, 320, 2))
    return _draw(rng, *(fixed or (height, width)))


def _draw(rng: np.random.Generator, height: int, width: int) -> Array:
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    field = np.zeros((height, width, 3))
    for channel in range(3):
        for _ in range(4):
            fy, fx, phase = rng.uniform(0, 9), rng.uniform(0, 9), rng.uniform(0, 6)
            field[..., channel] += rng.normal() * np.sin(fy * y + fx * x + phase)
    for _ in range(int(rng.integers(1, 6))):
        cy, cx, radius = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.05, 0.3)
        field[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = rng.normal(size=3) * 2
    field += rng.normal(scale=0.1, size=field.shape)
    low, high = field.min(), field.max()
    return np.asarray((field - low) / (high - low) * 255, np.uint8)
