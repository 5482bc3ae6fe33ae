"""How large the directory of a zip is, before zipfile reads all of it into memory.

PKWARE's APPNOTE: the end record (22 bytes and a comment) holds the size; in a ZIP64 the record that its locator, in the
20 bytes before, points to.
"""

from __future__ import annotations

import struct
from pathlib import Path

_END, _LOCATOR, _END64 = b"PK\x05\x06", b"PK\x06\x07", b"PK\x06\x06"
_TAIL = 22 + 65_535 + 20  # the end record with the longest comment, and the locator


def size(file: Path) -> int:
    """Return bytes of the directory. Raises ValueError where no zip ends."""
    length = file.stat().st_size
    with file.open("rb") as stream:
        stream.seek(max(length - _TAIL, 0))
        tail = stream.read(_TAIL)
        place = tail.rfind(_END)
        if place < 0 or place + 22 > len(tail):
            raise ValueError("it is not a zip file")
        found = [struct.unpack_from("<I", tail, place + 12)[0]]
        if place >= 20 and tail[place - 20 :].startswith(_LOCATOR):
            stream.seek(min(struct.unpack_from("<Q", tail, place - 12)[0], length))
            record = stream.read(56)
            if record.startswith(_END64) and len(record) == 56:
                found = [struct.unpack_from("<Q", record, 40)[0]]
    return int(found[0])
