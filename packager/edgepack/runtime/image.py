"""Images to model inputs, by the steps of a bundle's Image record; docs/bundle-format.md states each step.

The values are those of transformers' image processors on their Pillow backend. Their torchvision backend resizes with
torch's kernels, which round otherwise: mostly equal, for a few pixels one level of 255 apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgepack import plugins
from edgepack.arrays import Array, Example, Feeds
from edgepack.errors import BundleDamaged, InputError
from edgepack.runtime.processing import (
    CenterCrop,
    Cropping,
    Image,
    Normalize,
    Rescale,
    Resize,
    ResizeShortestEdge,
    ResizeWithin,
    Resizing,
    ReverseChannels,
    Step,
)
from edgepack.runtime.resize import Span, resize


class ImageInput:
    """Batches of float32 [batch, channels, height, width], by the steps of ``image``."""

    def __init__(self, image: Image) -> None:
        self._image = image
        _check(image)

    def feeds(self, images: Sequence[Example]) -> Feeds:
        """Return the array of one batch; see ``pixels`` for what an image may be. Raises InputError."""
        return {self._image.input: np.stack([self._one(pixels(image, self._image.alpha)) for image in images])}

    @property
    def fixed(self) -> bool:
        """True if images must come in the model's own size: nothing resizes or crops them."""
        return unsized(self._image.steps)

    def _one(self, image: Array) -> Array:
        size = self._image.size
        made = apply(coloured(image, self._image.channels, self._image.alpha), self._image.steps)
        if made.shape[:2] != (size.height, size.width):
            raise InputError(
                f"an image of {image.shape[0]} x {image.shape[1]} pixels (height x width) is not resized and becomes "
                f"{made.shape[0]} x {made.shape[1]}; the model takes {size.height} x {size.width}",
                hint="resize it first",
            )
        return np.ascontiguousarray(made.astype(np.float32, copy=False).transpose(2, 0, 1))


def _check(image: Image) -> None:
    """Raises BundleDamaged for means and deviations of another number of channels."""
    for step in image.steps:
        if isinstance(step, Normalize) and not len(step.mean) == len(step.std) == image.channels:
            raise BundleDamaged(f"the manifest normalizes {len(step.mean)} channels; images have {image.channels}")


class Affine(NamedTuple):
    """The affine map that the steps make: ``(value * scale + offset - mean) / std``, the last two per channel.

    ``reverse``: the channels' order is turned around before.
    """

    reverse: bool
    scale: float
    offset: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


def affine(image: Image) -> Affine:
    """Put the steps on values into one formula, for a model that does them inside."""
    reverse, scale, offset = False, 1.0, 0.0
    mean, std = (0.0,) * image.channels, (1.0,) * image.channels
    for step in image.steps:
        if isinstance(step, ReverseChannels):
            reverse = True
        elif isinstance(step, Rescale):
            scale, offset = step.factor, step.offset
        elif isinstance(step, Normalize):
            # a second one divides by its std once more (EfficientNet's include_top): ((x - m) / s - n) / t
            mean = tuple(m + s * n for m, s, n in zip(mean, std, step.mean, strict=True))
            std = tuple(s * t for s, t in zip(std, step.std, strict=True))
    return Affine(reverse, scale, offset, mean, std)


LEVELS = 1.0  # of 255 that pixels may differ by: resizing rounds to whole levels, and halves either way
_DIGITS = 3  # of a level: behind them lies float32 arithmetic


def levels_apart(a: Array, b: Array, image: Image) -> float:
    """Return the largest difference of two batches of pixels, [batch, channels, height, width], in levels of 255."""
    return round(float((np.abs(a.astype(np.float64) - b) / level(image)).max()), _DIGITS)


def level(image: Image) -> Array:
    """Return how much one level of 255 is after all steps, float64 [channels, 1, 1]."""
    facts = affine(image)
    return np.asarray(abs(facts.scale) / np.abs(np.asarray(facts.std, np.float64)))[:, None, None]


def unsized(todo: Sequence[Step]) -> bool:
    """Return whether none of the steps changes an image's size."""
    return not any(isinstance(step, Resizing | Cropping) for step in todo)


def pixels(image: Example, alpha: str = "drop") -> Array:
    """Return uint8 [h, w] or [h, w, c] of such an array, of a file's path, or of a file's bytes. Raises InputError.

    A file has a fourth channel where it names a transparent colour that ``alpha`` blends onto white.
    """
    if isinstance(image, str | Path | bytes | bytearray | memoryview):
        if isinstance(image, str | Path) and not Path(image).is_file():
            raise InputError(f"there is no image file {image}", hint="a path is meant from the folder of the command")
        read = plugins.load_module("edgepack.runtime.image_file").read
        return np.asarray(read(image, keyed=alpha == "white"))
    array = np.asarray(image) if image is not None else np.zeros(0)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or 0 in array.shape:
        raise InputError(
            "an image must be a uint8 array [height, width, 3] or [height, width], a path, or a file's bytes"
        )
    return array


def coloured(image: Array, wanted: int, alpha: str) -> Array:
    """Return [h, w, wanted] of [h, w] or [h, w, 1, 3 or 4]; grey is repeated, colour becomes luma (ITU-R 601)."""
    image = image[..., None] if image.ndim == 2 else image
    if image.shape[-1] not in (1, 3, 4):
        raise InputError(f"an image has 1, 3 or 4 channels, last, not {image.shape[-1]}")
    if image.shape[-1] == 4:
        image = _opaque(image, alpha)
    if wanted == image.shape[-1]:
        return image
    if wanted == 1:
        luma = (image.astype(np.uint32) @ np.array([19595, 38470, 7471], np.uint32) + 32768) >> 16
        return luma.astype(np.uint8)[..., None]
    return np.repeat(image, wanted, axis=-1)


def _opaque(image: Array, alpha: str) -> Array:
    """Return [h, w, 3] of RGBA, as ``alpha`` says: blended onto white, refused, or (in earlier bundles) dropped."""
    if alpha == "refuse":
        raise InputError(
            "the image has a fourth channel (transparency), and the model's image processor does not say how "
            "to treat it",
            hint="give red, green and blue alone: image[..., :3], or blend it onto a background first",
        )
    if alpha == "drop":
        return image[..., :3]
    opacity = image[..., 3:] / 255
    return np.round(opacity * image[..., :3] + (1 - opacity) * 255).astype(np.uint8)


def apply(image: Array, todo: Sequence[Step]) -> Array:
    """Do all of ``todo``, one after the other, with uint8 [h, w, channels]: [height, width, channels].

    Raises InputError.
    """
    left = list(todo)
    while left:
        step = left.pop(0)
        if isinstance(step, Resizing) and left and isinstance(left[0], Cropping):
            image = _resize_and_crop(image, step, left[0])
            del left[0]
        else:
            image = _done(image, step)
    return image


def _done(image: Array, step: Step) -> Array:
    if isinstance(step, Resizing):
        return resize(image, *_resized(image, step), step.resample)
    if isinstance(step, Cropping):
        return crop(image, *_cropped(image.shape[0], image.shape[1], step), odd=_odd(step))
    if isinstance(step, ReverseChannels):
        return image[..., ::-1]
    return _rescale(image, step) if isinstance(step, Rescale) else _normalize(image, step)


def _resize_and_crop(image: Array, step: Resizing, cut: Cropping) -> Array:
    """Resize and crop, without the pixels that the crop takes away: a panorama would be resized to millions."""
    height, width = _resized(image, step)
    wanted = _cropped(height, width, cut)
    odd = _odd(cut)
    rows, columns = _inside(height, wanted[0], odd), _inside(width, wanted[1], odd)
    return crop(resize(image, height, width, step.resample, rows=rows, columns=columns), *wanted, odd=odd)


def _resized(image: Array, step: Resizing) -> tuple[int, int]:
    """Return height and width after a resize."""
    height, width = image.shape[:2]
    if isinstance(step, Resize):
        return step.height, step.width
    if isinstance(step, ResizeWithin):
        scale = min(step.max_height / height, step.max_width / width)
        return int(height * scale), int(width * scale)
    near, far = _edges(min(height, width), max(height, width), step)
    return (near, far) if height <= width else (far, near)


def _edges(short: int, long: int, step: ResizeShortestEdge) -> tuple[int, int]:
    """Return the shorter and the longer side after a resize by the shorter one."""
    edge = step.shortest_edge
    if step.longest_edge is not None and long / short * edge > step.longest_edge:
        exact = step.longest_edge * short / long
        edge = round(exact)
        far = long if edge == short else int(exact * long / short)
    else:
        far = int(edge * long / short)
    unit = step.multiple_of or 1
    return math.ceil(edge / unit) * unit, math.ceil(far / unit) * unit


def _cropped(height: int, width: int, step: Cropping) -> tuple[int, int]:
    """Return height and width after a crop; ratios are of the shorter side."""
    if isinstance(step, CenterCrop):
        return step.height, step.width
    short = min(height, width)
    return int(step.height_ratio * short), int(step.width_ratio * short)


def _odd(step: Cropping) -> str | None:
    return step.odd if isinstance(step, CenterCrop) else None


def _start(size: int, wanted: int, odd: str | None) -> int:
    """Return where a centre crop begins: below 0 where the side is too short for it."""
    margin = size - wanted
    if odd is None:
        return margin // 2
    # of torchvision's CenterCrop: int(round(margin / 2)), and (wanted - size) // 2 before what is too short
    return margin // 2 + (margin % 4 == 3) if margin >= 0 else -(-margin // 2)


def _inside(size: int, wanted: int, odd: str | None) -> Span:
    """Return what a centre crop takes of a side."""
    start = _start(size, wanted, odd)
    return max(start, 0), min(start + wanted, size)


def crop(image: Array, height: int, width: int, *, odd: str | None = None) -> Array:
    """Return the centre [height, width]; what lies outside the image is black.

    The odd line of a margin is above and at the left of what is black, and below and at the right of what is cut off,
    or where torchvision has it (``odd``).
    """
    above, left = (max(-_start(*sides, odd), 0) for sides in ((image.shape[0], height), (image.shape[1], width)))
    rows, columns = _inside(image.shape[0], height, odd), _inside(image.shape[1], width, odd)
    image = image[slice(*rows), slice(*columns)]
    if image.shape[:2] == (height, width):
        return np.asarray(image)
    grown = np.zeros((height, width, image.shape[2]), image.dtype)
    grown[above : above + image.shape[0], left : left + image.shape[1]] = image
    return grown


def _rescale(image: Array, step: Rescale) -> Array:
    values = (image.astype(np.float64) * step.factor).astype(np.float32)
    return np.asarray(values + np.float32(step.offset))


def _normalize(image: Array, step: Normalize) -> Array:
    values = image.astype(np.float32, copy=False) - np.array(step.mean, np.float32)
    return np.asarray(values / np.array(step.std, np.float32))
