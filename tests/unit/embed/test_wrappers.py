"""How much code of a wrapper there is to read."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "generated_lines.py"


def test_a_wrapper_is_short(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", [str(SCRIPT)])
    runpy.run_path(str(SCRIPT), run_name="__main__")  # exits with 1 where one has 400 lines
    rows = re.findall(r"^(rpi|android|iphone|web) +([a-z-]+) +(\d+)", capsys.readouterr().out, re.MULTILINE)
    assert len(rows) > 30
    assert all(0 < int(lines) < 400 for *_, lines in rows)
