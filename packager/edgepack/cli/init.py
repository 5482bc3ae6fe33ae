"""edgepack init: write an edgepack.toml."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from edgepack import outfolder, project
from edgepack import targets as known_targets
from edgepack.cli import show
from edgepack.errors import UsageError


def init(
    model: Annotated[
        str,
        typer.Argument(
            help="Hub id, folder or python:package/folder (default: sentence-transformers/all-MiniLM-L6-v2).",
            metavar="MODEL",
            show_default=False,
        ),
    ] = "sentence-transformers/all-MiniLM-L6-v2",
    target: Annotated[
        list[str] | None,
        typer.Option("--target", "-t", help="Target. Repeatable.", metavar="<target>", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing edgepack.toml.")] = False,
) -> None:
    """Write a project file, edgepack.toml, into this folder."""
    file = Path(project.FILE)
    _check(file, force=force)
    chosen = tuple(target or ["rpi"])
    for name in chosen:
        known_targets.load(name)
    with outfolder.replacing(file, partial(_check, force=force)) as fresh:  # a link, not what it leads to
        fresh.write_text(project.template(model, chosen), "utf-8")
    show.line(f"wrote {file}; next: edgepack build")


def _check(file: Path, *, force: bool) -> None:
    """Raises UsageError where something stands, FileTrouble for a device, a FIFO or a socket."""
    if os.path.lexists(file) and not force:
        raise UsageError(f"{file} already exists", hint="--force overwrites it")
    outfolder.check_kind(file)
