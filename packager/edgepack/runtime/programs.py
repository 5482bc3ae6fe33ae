"""The programs of a machine that tell of its state."""

from __future__ import annotations

import shutil
import subprocess

_SECONDS = 5.0  # that one may take to answer


def said(*command: str) -> str:
    """Return what a program prints; nothing where it is not there or fails."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_SECONDS).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
