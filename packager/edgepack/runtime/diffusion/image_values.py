"""Images to what the VAE takes, masks, and what it gives to images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepack.arrays import Array, Example
from edgepack.errors import InputError
from edgepack.runtime import image, png
from edgepack.runtime.resize import resize

_RESAMPLE = "lanczos"  # of diffusers' image processor
_HALF = 128  # the darkest level of a mask where the image is painted


@dataclass(frozen=True, kw_only=True)
class GeneratedImage:
    """An image that was made: ``pixels``, uint8 [height, width, 3]."""

    pixels: Array
    latents: Array  # that it was decoded from, float32 [channels, height, width]
    seed: int  # of the batch; its own where several were given
    index: int  # in the batch

    def png(self) -> bytes:
        """Return the bytes of a PNG file."""
        return png.encoded(self.pixels)

    def save(self, file: str | Path) -> None:
        """Write a PNG file, whole or not at all. Raises FileTrouble, DiskFull."""
        png.write(Path(file), self.pixels)


def colours(example: Example) -> Array:
    """Return uint8 [h, w, 3] of a file's path, its bytes, or uint8 [h, w] or [h, w, 1, 3 or 4]. Raises InputError."""
    return image.coloured(image.pixels(example), 3, "drop")


def greys(example: Example) -> Array:
    """Return uint8 [h, w, 1]. Raises InputError."""
    return image.coloured(image.pixels(example), 1, "drop")


def values(pixels: Array, height: int, width: int) -> Array:
    """Return float32 [1, 3, height, width] from -1 to 1 of uint8 [h, w, 3], resized."""
    sized = resize(pixels, height, width, _RESAMPLE).astype(np.float32) / np.float32(255)
    return np.ascontiguousarray((np.float32(2) * sized - np.float32(1)).transpose(2, 0, 1)[None])


def mask(pixels: Array, height: int, width: int) -> Array:
    """Return float32 [1, 1, height, width] of uint8 [h, w, 1], resized: 1 where it is bright, which is painted."""
    return (resize(pixels, height, width, _RESAMPLE) >= _HALF).astype(np.float32).transpose(2, 0, 1)[None]


def matching(pixels: Array, mask: Array) -> None:
    """Raises InputError for a mask of another size than the image's."""
    if pixels.shape[:2] != mask.shape[:2]:
        sizes = (f"{one.shape[1]} x {one.shape[0]}" for one in (pixels, mask))
        raise InputError("the image is {} pixels, the mask {}".format(*sizes), hint="give a mask of the same size")


def check_finite(values: Array, what: str) -> None:
    """Raises InputError for NaN and infinity in ``values``, of which ``what`` says in a few words what they are."""
    if not np.isfinite(values).all():
        raise InputError(
            f"{what} are not finite, so that there is no image",
            hint="take a smaller guidance or another scheduler; in float16 some models overflow: build another recipe",
        )


def levels(decoded: Array) -> Array:
    """Return uint8 [height, width, 3] of float32 [3, height, width] from -1 to 1."""
    unit = np.clip(decoded * np.float32(0.5) + np.float32(0.5), 0, 1)
    return np.ascontiguousarray((unit * np.float32(255)).round().astype(np.uint8).transpose(1, 2, 0))
