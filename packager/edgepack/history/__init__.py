"""The history of a project's measurements of speed, and what has changed in it.

`edgepack bench` adds to it where a command runs beside an edgepack.toml; `edgepack compare --since` reads it.
"""

from __future__ import annotations

from edgepack.history._changes import MARGIN, Change, changes
from edgepack.history._entries import Entry, entries
from edgepack.history._file import FILE, add, check, place, read
from edgepack.history._since import Since, since

__all__ = ["FILE", "MARGIN", "Change", "Entry", "Since", "add", "changes", "check", "entries", "place", "read", "since"]
