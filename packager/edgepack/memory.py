"""Give freed memory back to the system between the steps of a build, so that their peaks do not add up."""

from __future__ import annotations

import ctypes
import ctypes.util
import gc


def release() -> None:
    """Collect, and let glibc's allocator return what it holds; other allocators do so by themselves."""
    gc.collect()
    name = ctypes.util.find_library("c")
    trim = getattr(ctypes.CDLL(name), "malloc_trim", None) if name else None
    if trim is not None:
        trim(0)
