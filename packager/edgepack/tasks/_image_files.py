"""Images as files of every kind that a camera, a browser or a drawing program writes. Needs Pillow.

Colours, transparency and the way up are said otherwise in each, and image processors treat them otherwise: the bundle
and the original are compared from the file's bytes on.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from edgepack.arrays import Array

_ORIENTATION, _QUARTER = 0x0112, 6  # the EXIF tag, and its value for an image that lies on its side


def files(drawn: Array) -> dict[str, bytes]:
    """Return the image ``drawn``, uint8 [h, w, 3], as a file of each kind; upright, all have its height and width."""
    colour = Image.fromarray(drawn)
    grey, few = colour.convert("L"), colour.quantize(16)
    fading = Image.fromarray(np.broadcast_to(np.linspace(0, 255, drawn.shape[1]).astype(np.uint8), drawn.shape[:2]))
    exif = Image.Exif()
    exif[_ORIENTATION] = _QUARTER
    middle = drawn[drawn.shape[0] // 2, drawn.shape[1] // 2].tolist()
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    return {
        "a palette with a transparent colour": _file(few, transparency=few.getpixel((0, 0))),
        "a transparent colour": _file(colour, transparency=tuple(middle)),
        "a transparent grey": _file(grey, transparency=grey.getpixel((0, 0))),
        "on its side": _file(colour.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=90),
        "an alpha channel": _file(Image.merge("RGBA", (*colour.split(), fading))),
        "grey with an alpha channel": _file(Image.merge("LA", (grey, fading))),
        "a palette with an alpha per colour": _file(few, transparency=bytes(range(0, 256, 16))),
        "a GIF with a transparent colour": _file(few, "GIF", transparency=few.getpixel((0, 0))),
        "inks": _file(colour.convert("CMYK"), "JPEG", quality=90),
        "grey of 16 bits": _file(deep),
        "black and white": _file(colour.convert("1"), transparency=0),
        "a palette": _file(few),
    }


def _file(image: Image.Image, kind: str = "PNG", **how: object) -> bytes:
    made = io.BytesIO()
    image.save(made, kind, **how)
    return made.getvalue()
