"""The history of measurements: its file, two writers, what is no history, and what has changed since."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from tests.rounds import measured

from edgepack import history
from edgepack.errors import HistoryError, UsageError
from edgepack.history import Entry
from edgepack.history._changes import _T, _interval
from edgepack.records import NotMeasured
from edgepack.runtime import clock

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
EARLIER, LATER = (1.00e-3, 1.01e-3, 1.005e-3), (1.10e-3, 1.12e-3, 1.11e-3)


def entry(medians: tuple[float, ...] = EARLIER, day: int = 0, label: str = "", **changes: object) -> Entry:
    timing = replace(clock.pooled("1x32", [measured(median) for median in medians]), verdict="valid")
    facts = {
        "at": START + timedelta(days=day), "label": label, "bundle": "b-rpi", "model": "m", "target": "rpi",
        "recipe": "int8", "manifest": label or "0", "device": "kitchen", "timing": timing,
    }  # fmt: skip
    return Entry(**{**facts, **changes})


def test_what_is_added_is_read(tmp_path: Path) -> None:
    file = tmp_path / "h.sqlite"
    history.check(file)
    assert history.read(file) == []
    later, first = entry(day=1, label="v2"), entry()
    history.add(file, [later])
    history.add(file, [first])
    assert history.read(file) == [first, later]
    with sqlite3.connect(file) as connection:  # by queries of one's own
        assert connection.execute("SELECT label, input, p50 FROM measurement ORDER BY at").fetchone() == (
            "",
            "1x32",
            1.005e-3,
        )
    connection.close()


ADDS = """
import sys
from pathlib import Path
from edgepack import history
from tests.unit.test_history import entry
for _ in range(20):
    history.add(Path(sys.argv[1]), [entry(), entry()])
"""


def test_two_write_at_once(tmp_path: Path) -> None:
    file = tmp_path / "h.sqlite"
    command = [sys.executable, "-c", ADDS, str(file)]
    writers = [subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE) for _ in range(2)]
    said = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], said
    assert len(history.read(file)) == 80


def foreign(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE bookmarks (id INTEGER)")
    connection.close()


def newer(file: Path) -> None:
    history.check(file)
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()


def damaged(file: Path) -> None:
    history.add(file, [entry() for _ in range(50)])
    data = bytearray(file.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    file.write_bytes(data)


def trapped(file: Path) -> None:
    history.check(file)
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TRIGGER t AFTER INSERT ON measurement BEGIN DELETE FROM measurement; END")
    connection.close()


def filled(column: str, value: str) -> object:
    def spoil(file: Path) -> None:
        history.add(file, [entry()])
        with sqlite3.connect(file) as connection:
            connection.execute(f"UPDATE measurement SET {column} = ?", (value,))
        connection.close()

    return spoil


SPOILT = {
    "text": lambda file: file.write_text("model,p50\n" * 500),
    "foreign": foreign,
    "newer": newer,
    "damaged": damaged,
    "trapped": trapped,
    "folder": lambda file: file.mkdir(),
}
ROWS = {
    "timing": filled("timing", '{"what": 1}'),
    "json": filled("timing", "{"),
    "time": filled("at", "yesterday"),
    "time before all times": filled("at", "0001-01-01T00:00:00+10:00"),
}


@pytest.mark.parametrize("kind", [*SPOILT, *ROWS])
def test_what_is_no_history_is_one_error(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "h.sqlite"
    {**SPOILT, **ROWS}[kind](file)
    before = None if file.is_dir() else file.read_bytes()
    with pytest.raises(HistoryError) as caught:
        history.read(file)
    assert "\n" not in str(caught.value)
    assert "h.sqlite" in str(caught.value)
    if kind in SPOILT and kind != "damaged":  # whose first page may do to add to it
        with pytest.raises(HistoryError):
            history.add(file, [entry()])
        assert before == (None if file.is_dir() else file.read_bytes())


def test_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HistoryError, match="there is no history"):
        history.read(tmp_path / "none")
    monkeypatch.chdir(tmp_path)
    assert history.place(None) is None
    Path("edgepack.toml").touch()
    assert history.place(None) == Path("edgepack-history.sqlite")
    assert history.place(Path("other")) == Path("other")


def test_slower_since(tmp_path: Path) -> None:
    entries = [entry(), entry(LATER, 2, "v2"), entry(EARLIER, 2, "v2", device="desk")]
    (change,) = history.changes(history.since("2026-11-02", entries))  # desk has nothing before
    assert change.slower
    assert not change.faster
    assert change.ratio == pytest.approx(1.11 / 1.005, rel=1e-3)
    (back,) = history.changes(history.since("2026-11-02", [entry(LATER), entry(EARLIER, 2, "v2")]))
    assert back.faster


def test_the_interval_is_welch_s() -> None:
    first, second = np.log(EARLIER), np.log([*LATER, 1.2e-3])
    found = stats.ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    made = _interval(list(first), list(second))
    assert not isinstance(made, NotMeasured)
    # whole degrees of freedom, which makes it no narrower
    assert np.exp(found.low) >= made[0] > np.exp(found.low) - 0.05
    assert np.exp(found.high) <= made[1] < np.exp(found.high) + 0.05
    assert np.allclose(_T, stats.t.ppf(0.975, range(1, 31)), atol=5e-4)


def test_small_or_unsure_changes_do_not_count() -> None:
    small = (1.02e-3, 1.03e-3, 1.025e-3)
    (change,) = history.changes(history.since("2026-11-02", [entry(), entry(small, 2)]))
    assert not change.slower
    unsure = (0.9e-3, 1.1e-3, 1.4e-3)
    (change,) = history.changes(history.since("2026-11-02", [entry(), entry(unsure, 2)]))
    assert change.ratio > 1.05
    assert not change.slower
    (change,) = history.changes(history.since("2026-11-02", [entry(), entry((2e-3,), 2)]))
    assert isinstance(change.interval, NotMeasured)
    assert not change.slower


def test_only_the_last_state_and_what_was_not_disturbed() -> None:
    marked = replace(entry(LATER, 3).timing, verdict="other programs used 45 % of the processors")
    entries = [entry(LATER, 0, "v0"), entry(EARLIER, 1, "v1"), entry(EARLIER, 2, "v1"), entry(EARLIER, 4, "v2")]
    (change,) = history.changes(history.since("2026-11-04", [*entries, entry(day=5, label="v3", timing=marked)]))
    assert (change.before.label, change.now.label, change.ratio) == ("v1", "v2", pytest.approx(1.0))


def test_since_a_label() -> None:
    entries = [entry(label="4f1c2a90"), entry(LATER, 1, "9e00"), entry(day=2)]
    (change,) = history.changes(history.since("4f1c", entries))
    assert change.now.label == ""
    with pytest.raises(UsageError, match="no label in the history: 'v9'") as caught:
        history.since("v9", entries)
    assert "4f1c2a90, 9e00" in caught.value.hint
    with pytest.raises(UsageError, match="several labels begin with 'v'"):
        history.since("v", [entry(label="v1"), entry(label="v2")])
    with pytest.raises(UsageError):
        history.since("", entries)
