"""The lines of text in which a long piece of work tells of itself."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]


def silent(line: str) -> None:
    """Say nothing."""
