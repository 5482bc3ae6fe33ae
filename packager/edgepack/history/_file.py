"""The file of a history: SQLite, to which several processes may add at once (https://www.sqlite.org/fileformat2.html).

Its application id tells it from other programs' files. The columns beside ``timing``, which holds a measurement as
measurements.json does, are for queries of one's own.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from edgepack import project
from edgepack.documents import parse_json
from edgepack.errors import HistoryError
from edgepack.history._entries import Entry
from edgepack.runtime import measurements

FILE = "edgepack-history.sqlite"
_APPLICATION, _VERSION = 0x65646770, 1  # "edgp"
_PATIENCE = 30.0  # seconds that another process may write
_TEXTS = ("label", "bundle", "model", "target", "recipe", "manifest", "device")
_COLUMNS = ("at", *_TEXTS, "input", "p50", "verdict", "timing")
_TABLE = """CREATE TABLE measurement (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, label TEXT NOT NULL, bundle TEXT NOT NULL, model TEXT NOT NULL,
    target TEXT NOT NULL, recipe TEXT NOT NULL, manifest TEXT NOT NULL, device TEXT NOT NULL, input TEXT NOT NULL,
    p50 REAL NOT NULL, verdict TEXT NOT NULL, timing TEXT NOT NULL)"""
_HINT = "--history FILE names another file, which is made where there is none"


def place(asked: Path | None) -> Path | None:
    """Return the history that is asked for, or else the one beside an edgepack.toml; None where there is no such."""
    if asked is not None or not Path(project.FILE).is_file():
        return asked
    return Path(FILE)


def check(file: Path) -> None:
    """Make the history where there is none. Raises HistoryError where it cannot be added to."""
    add(file, ())


def add(file: Path, made: Sequence[Entry]) -> None:
    """Add measurements, all or none of them. Raises HistoryError."""
    rows = [
        (_written(e.at), *(getattr(e, name) for name in _TEXTS), e.timing.label, e.timing.p50, e.timing.verdict,
         json.dumps(asdict(e.timing)))
        for e in made
    ]  # fmt: skip
    marks = ", ".join("?" * len(_COLUMNS))
    with _opened(file) as connection:
        connection.execute("BEGIN IMMEDIATE")  # waits for who writes now
        if _is_new(connection):
            connection.execute(_TABLE)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        _check_own(connection, file)
        connection.executemany(f"INSERT INTO measurement ({', '.join(_COLUMNS)}) VALUES ({marks})", rows)
        connection.execute("COMMIT")


def read(file: Path) -> list[Entry]:
    """Return all measurements, the earliest first. Raises HistoryError, for a file that is not there too."""
    if not file.is_file():
        raise HistoryError(f"there is no history {file}", hint="edgepack bench BUNDLE --history FILE begins one")
    with _opened(file) as connection:
        _check_own(connection, file)
        rows = connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM measurement ORDER BY at, id").fetchall()
    return [_entry(dict(zip(_COLUMNS, row, strict=True)), file) for row in rows]


@contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    """Open a file; what SQLite says of it becomes an error that names it."""
    try:
        with closing(sqlite3.connect(file, timeout=_PATIENCE, isolation_level=None)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            yield connection
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise HistoryError(f"the history {file} cannot be used: {error}", hint=_HINT) from error


def _is_new(connection: sqlite3.Connection) -> bool:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return bool(application == 0 and tables == 0)


def _check_own(connection: sqlite3.Connection, file: Path) -> None:
    """Raises HistoryError for a file of another program, or of a newer edgepack."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = connection.execute("SELECT type, name FROM sqlite_master").fetchall()
    if application != _APPLICATION:
        raise HistoryError(f"{file} is not a history that edgepack wrote", hint=_HINT)
    if version != _VERSION:
        raise HistoryError(f"{file} has the version {version}; this edgepack reads {_VERSION}", hint=_HINT)
    if ("table", "measurement") not in tables or any(kind in ("view", "trigger") for kind, _ in tables):
        raise HistoryError(f"{file} has other tables than a history of edgepack", hint=_HINT)


def _entry(row: dict[str, object], file: Path) -> Entry:
    texts = {name: str(row[name]) for name in _TEXTS}
    told = parse_json(str(row["timing"]), str(file), HistoryError, hint=_HINT)
    try:
        at = datetime.fromisoformat(str(row["at"])).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise HistoryError(f"{file} holds the time {row['at']!r}, which is none", hint=_HINT) from error
    (timing,) = measurements.checked_timings([told], HistoryError, who=str(file), hint=_HINT)
    return Entry(**texts, at=at, timing=timing)


def _written(at: datetime) -> str:
    """Return a time so that the texts sort as the times do."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")
