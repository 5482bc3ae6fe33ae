"""Give memory back to the system between the steps of a build, so that their peaks do not add up."""

from __future__ import annotations

import ctypes
import gc
import mmap
import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGEST, _NEVER = 1 << 25, (1 << 31) - 1  # bytes; glibc takes no larger threshold for mapping
_PASSED = 1 << 28  # bytes that may be passed before they are let go of
_SMAPS, _MEMINFO = Path("/proc/self/smaps"), Path("/proc/meminfo")
_MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) \S{4} \S+ \S+ \d+ +(/.+)\n((?:[A-Z]\w+:.*\n)+)", re.MULTILINE)
_COPIES = re.compile(r"^(?:Anonymous|Swap): +(\d+) kB$", re.MULTILINE)


def keep() -> None:
    """Let glibc's allocator hold on to what is freed, until ``release``, in all threads.

    Otherwise each large array of a thread has new pages, and that takes as long as filling them with results.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, _NEVER)


def release() -> None:
    """Collect, and let glibc's allocator return what it holds; other allocators do so by themselves."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def available() -> int | None:
    """Return bytes that programs can have without swapping; None where the system does not tell (not Linux)."""
    if not _MEMINFO.is_file():
        return None
    found = re.search(r"^MemAvailable: +(\d+) kB$", _MEMINFO.read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def forget(files: Iterable[Path]) -> None:
    """Let go of the pages of mapped ``files``: they are read again when they are next used.

    Mappings that were written to stay as they are. Only where the system tells of its mappings (Linux).
    """
    if not _SMAPS.is_file():
        return
    for begin, end in _unwritten(_SMAPS.read_text(), {str(file.resolve()) for file in files}):
        ctypes.CDLL(None).madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), mmap.MADV_DONTNEED)


class Passing:
    """``passing(bytes)``: calls ``let_go``, as of pages that weights are mapped from, whenever enough were passed."""

    def __init__(self, let_go: Callable[[], None]) -> None:
        self._let_go, self._bytes = let_go, 0

    def __call__(self, bytes: int) -> None:
        """Count ``bytes`` that were passed."""
        self._bytes += bytes
        if self._bytes > _PASSED:
            self._let_go()
            self._bytes = 0


def _unwritten(smaps: str, names: Collection[str]) -> list[tuple[int, int]]:
    """Begin and end of each mapping of a file among ``names`` of which no page has a copy of its own."""
    found = []
    for mapping in _MAPPING.finditer(smaps):
        begin, end, name, facts = mapping.groups()
        if name in names and not any(int(size) for size in _COPIES.findall(facts)):
            found.append((int(begin, 16), int(end, 16)))
    return found
