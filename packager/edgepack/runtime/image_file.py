"""Decode an image file. This is the one part of the runtime that needs Pillow."""

from __future__ import annotations

import io
import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from edgepack.arrays import Array
from edgepack.errors import InputError

# What Pillow raises at a damaged file, beside OSError, depends on the format.
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error, zlib.error)


def read(file: str | Path | bytes | bytearray | memoryview, *, keyed: bool = False) -> Array:
    """Return uint8 [height, width, 3] of a file's path or bytes, turned upright as its EXIF says. Raises InputError.

    Palettes and other colour models are converted and an alpha channel is dropped: what transformers' ``load_image``
    does. It keeps a colour that the file names as the transparent one (a tRNS chunk of PNG, GIF's transparent index);
    where ``keyed``, such an image has a fourth channel, 0 at that colour and 255 elsewhere.
    """
    source = file if isinstance(file, str | Path) else io.BytesIO(file)
    try:
        with _quiet(), Image.open(source) as image:
            if image.width * image.height > _most():
                raise Image.DecompressionBombError
            upright = ImageOps.exif_transpose(image)
            if isinstance(upright.info.get("transparency"), bytes):
                del upright.info["transparency"]  # an alpha per colour of the palette; convert drops it, and warns
            coloured = upright.convert("RGB")
            key = coloured.info.get("transparency") if keyed else None
            return np.asarray(coloured if key is None else coloured.convert("RGBA"))
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{_named(file)} has more pixels than Pillow thinks safe, {_most():,.0f}",
            hint="make it smaller first, or raise PIL.Image.MAX_IMAGE_PIXELS where you trust it",
        ) from error
    except _DAMAGED as error:
        raise InputError(
            f"{_named(file)} is not an image that can be read", hint="PNG, JPEG, WebP and what else Pillow opens"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Pillow's warning of large images, which are refused here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def _most() -> float:
    """Return Pillow's limit in pixels, which it warns of and refuses at twice as many."""
    return math.inf if Image.MAX_IMAGE_PIXELS is None else Image.MAX_IMAGE_PIXELS


def _named(file: str | Path | bytes | bytearray | memoryview) -> str:
    return str(file) if isinstance(file, str | Path) else f"what was given ({len(bytes(file)):,} bytes)"
