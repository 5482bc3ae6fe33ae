"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Bundle = Annotated[Path, typer.Argument(help="A bundle: its folder or its .edgepack file.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Open the bundle though it could take much more time or memory than its size (docs/security.md).",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(help="Threads (default: the target's, at most this machine's).", show_default=False, min=1),
]
