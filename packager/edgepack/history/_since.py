"""The moment, or the label, from which on a history is looked at: ``--since 2026-11-01``, ``--since v1.2``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from edgepack.errors import UsageError
from edgepack.history._entries import Entry

_SHOWN = 5  # labels


@dataclass(frozen=True)
class Since:
    """The measurements to compare with, and those that are compared."""

    before: Sequence[Entry]
    after: Sequence[Entry]


def since(text: str, entries: Sequence[Entry]) -> Since:
    """Part ``entries`` (earliest first) at a date, a time (ISO 8601, local unless it says) or a label.

    A label, or what it alone begins with, stands for the measurements that have it; compared are later ones without.
    Raises UsageError for what is neither.
    """
    moment = _moment(text)
    if moment is not None:
        return Since([e for e in entries if e.at < moment], [e for e in entries if e.at >= moment])
    labels = list(dict.fromkeys(e.label for e in entries if e.label))
    found = [text] if text in labels else [label for label in labels if text and label.startswith(text)]
    if len(found) != 1:
        known = f"the last are {', '.join(labels[-_SHOWN:])}" if labels else "there are none so far"
        said = "several labels begin with" if found else "no date, and no label in the history:"
        raise UsageError(f"--since: {said} {text!r}", hint=f"a date (2026-11-01) or a label; {known}")
    before = [e for e in entries if e.label == found[0]]
    return Since(before, [e for e in entries if e.at > before[-1].at])


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
