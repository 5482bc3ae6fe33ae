"""Pictures to model inputs: resize, centre crop, rescale and normalise, as transformers' image processors do.

The resize is Pillow's: a separable filter, widened by the scale when it shrinks (antialiasing), rounded to
bytes after each pass; so that results agree with what the model was trained on.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.errors import InputError
from edgepack.runtime.types import Array, Feeds


class ImageInput:
    """Batches of float32 [batch, channels, height, width], by the numbers of ``processing``.

    ``processing``: inputs, channels, resize, resample, crop, scale, offset, mean, std.
    """

    def __init__(self, processing: Mapping[str, Any]) -> None:
        self._facts = processing
        self._name = str(processing["inputs"][0])

    def feeds(self, images: Sequence[Any]) -> Feeds:
        """The array of one batch; each image is uint8 [h, w, 3] or [h, w], or a path. Raises InputError."""
        return {self._name: np.stack([self._one(pixels(image)) for image in images])}

    def _one(self, image: Array) -> Array:
        facts = self._facts
        image = _channels(image, int(facts["channels"]))
        if facts.get("resize"):
            image = resize(image, *_size(image, facts["resize"]), str(facts["resample"]))
        if facts.get("crop"):
            image = crop(image, int(facts["crop"]["height"]), int(facts["crop"]["width"]))
        values: Array = image.astype(np.float32) * np.float32(facts["scale"]) + np.float32(facts.get("offset", 0.0))
        values = (values - np.array(facts["mean"], np.float32)) / np.array(facts["std"], np.float32)
        return np.ascontiguousarray(values.transpose(2, 0, 1))


def pixels(image: Any) -> Array:
    """uint8 [h, w] or [h, w, c] of an array or a file's path. Raises InputError."""
    if isinstance(image, str | Path):
        path = Path(image)
        if not path.is_file():
            raise InputError(f"there is no picture {image}")
        return np.asarray(importlib.import_module("edgepack.runtime.pictures").read(path))
    array = np.asarray(image) if image is not None else np.zeros(0)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or 0 in array.shape:
        raise InputError("a picture must be a uint8 array [height, width, 3] or [height, width], or a path")
    return array


def _channels(image: Array, wanted: int) -> Array:
    """[h, w, wanted]; grey is repeated, colour becomes luma (ITU-R 601), alpha is dropped."""
    image = image[..., None] if image.ndim == 2 else image
    if image.shape[-1] not in (1, 3, 4):
        raise InputError(f"a picture has 1, 3 or 4 channels, not {image.shape[-1]}")
    image = image[..., :3]
    if wanted == image.shape[-1]:
        return image
    if wanted == 1:
        return ((image.astype(np.uint32) @ np.array([19595, 38470, 7471], np.uint32) + 32768) >> 16).astype(np.uint8)[
            ..., None
        ]
    return np.repeat(image, wanted, axis=-1)


def _size(image: Array, box: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width to resize to; ``shortest_edge`` keeps the proportions."""
    if "height" in box:
        return int(box["height"]), int(box["width"])
    height, width = image.shape[:2]
    edge = int(box["shortest_edge"])
    if height <= width:
        return edge, int(edge * width / height)
    return int(edge * height / width), edge


def crop(image: Array, height: int, width: int) -> Array:
    """The centre [height, width]; what lies outside the picture is black."""
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    if top < 0 or left < 0:
        grown = np.zeros((max(height, image.shape[0]), max(width, image.shape[1]), image.shape[2]), image.dtype)
        y, x = (
            math.ceil((grown.shape[0] - image.shape[0]) / 2),
            math.ceil((grown.shape[1] - image.shape[1]) / 2),
        )
        grown[y : y + image.shape[0], x : x + image.shape[1]] = image
        image, top, left = grown, max(top, 0), max(left, 0)
    return np.asarray(image[top : top + height, left : left + width])


def resize(image: Array, height: int, width: int, resample: str) -> Array:
    """uint8 [height, width, c] of uint8 [h, w, c], horizontally first, as Pillow's ImagingResample does it."""
    if resample not in _FILTERS:
        raise InputError(f"no resampling {resample!r}; known: {', '.join(_FILTERS)}")
    if resample == "nearest":
        return np.asarray(image[_nearest(image.shape[0], height)][:, _nearest(image.shape[1], width)])
    across = _weights(image.shape[1], width, *_FILTERS[resample])
    down = _weights(image.shape[0], height, *_FILTERS[resample])
    if image.shape[1] != width:
        image = _bytes(np.einsum("hwc,xw->hxc", image.astype(np.float64), across, optimize=True))
    if image.shape[0] != height:
        image = _bytes(np.einsum("hwc,yh->ywc", image.astype(np.float64), down, optimize=True))
    return image


def _nearest(size: int, wanted: int) -> Array:
    """The source pixel of each new one; summed up as Pillow does it, since ties hang on the last bit."""
    steps = np.full(wanted, size / wanted)
    steps[0] /= 2
    return np.cumsum(steps).astype(int)


def _bytes(values: Array) -> Array:
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)


def _weights(size: int, wanted: int, kernel: Callable[[Array], Array], support: float) -> Array:
    """float64 [wanted, size]: how much each source pixel counts in each new one."""
    scale = size / wanted
    stretch = max(scale, 1.0)
    centres = (np.arange(wanted) + 0.5) * scale
    first = np.maximum(np.floor(centres - support * stretch + 0.5), 0)
    last = np.minimum(np.floor(centres + support * stretch + 0.5), size)
    places = np.arange(size)
    weights = kernel((places + 0.5 - centres[:, None]) / stretch)
    weights = np.where((places >= first[:, None]) & (places < last[:, None]), weights, 0.0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _triangle(x: Array) -> Array:
    return np.asarray(np.maximum(1 - np.abs(x), 0))


def _box(x: Array) -> Array:
    return ((x > -0.5) & (x <= 0.5)).astype(np.float64)


def _cubic(x: Array) -> Array:
    """Keys 1981 with a = -0.5."""
    x, a = np.abs(x), -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.asarray(np.where(x < 1, near, np.where(x < 2, far, 0.0)))


def _lanczos(x: Array) -> Array:
    return np.asarray(np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0))


_FILTERS: dict[str, tuple[Callable[[Array], Array], float]] = {
    "nearest": (_box, 0.5),
    "box": (_box, 0.5),
    "bilinear": (_triangle, 1.0),
    "bicubic": (_cubic, 2.0),
    "lanczos": (_lanczos, 3.0),
}
