"""The processors that this process may use."""

from __future__ import annotations

import os


def count() -> int:
    """Return how many there are: those of the machine, or of a part of it that a container or ``taskset`` gives."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1
