"""PNG files of images, without Pillow: one filter for all rows, and zlib."""

from __future__ import annotations

import errno
import os
import secrets
import struct
import zlib
from pathlib import Path

import numpy as np

from edgepack.arrays import Array
from edgepack.errors import DiskFull, FileTrouble

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TRUECOLOUR = 2
_UP = 2  # the filter that keeps the difference to the pixel above


def encoded(pixels: Array) -> bytes:
    """Return the file of uint8 [height, width, 3] (red, green, blue)."""
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.hstack([np.full((height, 1), _UP, np.uint8), rows - above])  # modulo 256, as the filter has it
    header = struct.pack(">IIBBBBB", width, height, 8, _TRUECOLOUR, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes())), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(name, content) for name, content in parts)


def write(file: Path, pixels: Array) -> None:
    """Write uint8 [height, width, 3] to ``file`` in one step: the image that was there stays until this one is whole.

    Raises FileTrouble, DiskFull.
    """
    place = Path(os.path.realpath(file))  # a link goes on leading there
    fresh = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    try:
        try:
            fresh.write_bytes(encoded(pixels))
            fresh.replace(place)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"no space left on the disk of {file}", hint="free some, or choose another place") from error
        raise FileTrouble(f"{file} cannot be written: {error.strerror}", hint="choose another place") from error


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
