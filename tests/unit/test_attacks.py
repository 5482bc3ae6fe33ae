"""The short form of benchmarks/attacks_files.py: kills, damaged caches, files and links that appear, readers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "attacks_files.py"


@pytest.mark.skipif(sys.platform != "linux", reason="a file system elsewhere may not exchange two folders")
def test_nothing_is_lost_or_mixed() -> None:
    command = [sys.executable, SCRIPT, "--short", "--moments", "10", "--rebuilds", "20"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = done.stdout.splitlines()
    assert len(rows) == 8
    attacks = [int(row.split(": ")[1].split(",")[0]) for row in rows]
    assert sum(attacks[:2]) > 30
    assert all(attacks)
