"""Decode a picture's file. This is the one part of the runtime that needs Pillow."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from edgepack.errors import InputError
from edgepack.runtime.types import Array

# What Pillow raises at a damaged file, beside OSError, depends on the format.
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, IndexError, Image.DecompressionBombError)


def read(file: str | Path | bytes | bytearray | memoryview) -> Array:
    """uint8 [height, width, 3] of a file's path or bytes, turned upright as its EXIF says. Raises InputError.

    Transparency is dropped, palettes and other colour models are converted: what transformers' ``load_image`` does.
    """
    source = file if isinstance(file, str | Path) else io.BytesIO(file)
    try:
        with Image.open(source) as picture:
            return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    except _DAMAGED as error:
        named = file if isinstance(file, str | Path) else f"what was given ({len(bytes(file)):,} bytes)"
        raise InputError(f"{named} is not a picture that can be read") from error
