"""Pages of mapped files are let go, and never one that was written to."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from edgepack import memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell of its mappings")
_BYTES = 32 << 20


def _resident() -> int:
    """Bytes of files that are in memory."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssFile")]
    return int(line.split()[1]) * 1024


def test_pages_are_forgotten_and_read_again(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    np.arange(_BYTES // 8).tofile(file)
    mapped = np.memmap(file, np.int64, "c")
    total = mapped.sum()
    before = _resident()
    memory.forget([file])
    assert before - _resident() > _BYTES // 2
    assert mapped.sum() == total


def test_written_pages_stay(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    np.arange(_BYTES // 8).tofile(file)
    mapped = np.memmap(file, np.int64, "c")
    mapped[5] = -1
    memory.forget([file])
    assert mapped[5] == -1
