"""Move a model's weights onto huge pages: a token reads all of them, and in pages of 4 kB that takes longer.

Linux alone, from 6.1 on (madvise(2), MADV_COLLAPSE); elsewhere nothing happens. What is moved is memory that this
process has filled, so that it takes no more than before.
"""

from __future__ import annotations

import ctypes
import mmap
import re
import sys
from pathlib import Path

_SMAPS = Path("/proc/self/smaps")
_MAPPING = r"^([0-9a-f]+)-([0-9a-f]+) rw-p 00000000 00:00 0 *(?:\[heap\])?\n"
_FILLED = re.compile(_MAPPING + r"(?:[A-Z]\w+:.*\n)*?Rss: +(\d+) kB", re.MULTILINE)
_HUGE = 1 << 21  # bytes: x86 and Arm with 4 kB pages
_LEAST = 16 << 20  # bytes of a mapping that is worth it
_FULL = 0.9  # of a mapping's pages: the rest would be made of nothing
_COLLAPSE = 25  # MADV_COLLAPSE, which mmap does not name


def collapse() -> int:
    """Put large filled mappings onto huge pages; the bytes that were moved."""
    if sys.platform != "linux" or not _SMAPS.is_file():
        return 0
    madvise = ctypes.CDLL(None).madvise
    moved = 0
    for found in _FILLED.finditer(_SMAPS.read_text()):
        begin, end, filled = int(found[1], 16), int(found[2], 16), 1024 * int(found[3])
        if end - begin < _LEAST or filled < _FULL * (end - begin):
            continue
        first = -(-begin // _HUGE) * _HUGE
        size = (end - first) // _HUGE * _HUGE
        place = ctypes.c_void_p(first), ctypes.c_size_t(size)
        madvise(*place, mmap.MADV_HUGEPAGE)
        moved += 0 if madvise(*place, _COLLAPSE) else size
    return moved
