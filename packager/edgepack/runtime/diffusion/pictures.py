"""Pictures to what the VAE takes, masks, and what it gives to pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepack.arrays import Array, Example
from edgepack.errors import FileTrouble, InputError
from edgepack.runtime import image, png
from edgepack.runtime.resize import resize

_RESAMPLE = "lanczos"  # of diffusers' image processor
_HALF = 128  # the darkest level of a mask where the picture is painted


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture that was made: ``pixels``, uint8 [height, width, 3]."""

    pixels: Array
    latents: Array  # that it was decoded from, float32 [channels, height, width]
    seed: int  # of the batch; its own where several were given
    index: int  # in the batch

    def png(self) -> bytes:
        """Return the bytes of a PNG file."""
        return png.encoded(self.pixels)

    def save(self, file: str | Path) -> None:
        """Write a PNG file. Raises FileTrouble."""
        try:
            Path(file).write_bytes(self.png())
        except OSError as error:
            raise FileTrouble(f"{file} cannot be written: {error.strerror}") from error


def colours(picture: Example) -> Array:
    """Return uint8 [h, w, 3] of a file's path, its bytes, or uint8 [h, w] or [h, w, 1, 3 or 4]. Raises InputError."""
    return image.coloured(image.pixels(picture), 3, "drop")


def greys(picture: Example) -> Array:
    """Return uint8 [h, w, 1]. Raises InputError."""
    return image.coloured(image.pixels(picture), 1, "drop")


def values(picture: Array, height: int, width: int) -> Array:
    """Return float32 [1, 3, height, width] from -1 to 1 of uint8 [h, w, 3], resized."""
    sized = resize(picture, height, width, _RESAMPLE).astype(np.float32) / np.float32(255)
    return np.ascontiguousarray((np.float32(2) * sized - np.float32(1)).transpose(2, 0, 1)[None])


def mask(picture: Array, height: int, width: int) -> Array:
    """Return float32 [1, 1, height, width] of uint8 [h, w, 1], resized: 1 where it is bright, which is painted."""
    return (resize(picture, height, width, _RESAMPLE) >= _HALF).astype(np.float32).transpose(2, 0, 1)[None]


def matching(picture: Array, mask: Array) -> None:
    """Raises InputError for a mask of another size than the picture's."""
    if picture.shape[:2] != mask.shape[:2]:
        sizes = (f"{one.shape[1]} x {one.shape[0]}" for one in (picture, mask))
        raise InputError("the picture is {} pixels, the mask {}".format(*sizes), hint="give a mask of the same size")


def levels(decoded: Array) -> Array:
    """Return uint8 [height, width, 3] of float32 [3, height, width] from -1 to 1."""
    unit = np.clip(decoded * np.float32(0.5) + np.float32(0.5), 0, 1)
    return np.ascontiguousarray((unit * np.float32(255)).round().astype(np.uint8).transpose(1, 2, 0))
