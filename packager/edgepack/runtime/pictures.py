"""Decode a picture's file. This is the one part of the runtime that needs Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from edgepack.errors import InputError
from edgepack.runtime.types import Array


def read(file: Path) -> Array:
    """uint8 [height, width, 3], turned upright as the file's EXIF says. Raises InputError."""
    try:
        with Image.open(file) as picture:
            return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(f"{file} is no picture that can be read") from error
