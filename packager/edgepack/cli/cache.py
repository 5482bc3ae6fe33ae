"""edgepack cache: list or clear what builds keep for later."""

from __future__ import annotations

from typing import Annotated

import typer

from edgepack import cache as store
from edgepack.cli import show
from edgepack.cli.options import Json
from edgepack.reports.table import Table
from edgepack.units import size


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete the entries, and nothing else in the folder.")] = False,
    json: Json = False,
) -> None:
    """List or clear the build cache."""
    if clear:
        freed = store.clear()
        show.as_json({"freed": freed}) if json else show.line(f"freed {size(freed)} in {store.root()}")
        return
    entries = store.entries()
    if json:
        show.as_json({"folder": store.root(), "entries": entries})
        return
    show.line(f"{store.root()}: {size(sum(entry.bytes for entry in entries))}")
    rows = [[entry.kind, entry.what, size(entry.bytes), entry.key] for entry in entries]
    show.table("entries", Table(["kind", "model", "bytes", "key"], rows, figures=["bytes"]))
