"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgepack.errors import UsageError


def output_path(text: str) -> Path:
    """Where something is written. Raises UsageError for "", as an unset variable gives, which would be this folder."""
    if not str(text):
        raise UsageError("the path is empty", hint='"." is this folder')
    return Path(text)


Bundle = Annotated[Path, typer.Argument(help="A bundle: its folder or its .edgepack file.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Open the bundle though it could take much more time or memory than its size (docs/security.md).",
    ),
]
PublicKey = Annotated[
    Path | None,
    typer.Option(
        help="PEM file: the bundle has to be signed with the key of this public key (edgepack sign).",
        show_default=False,
    ),
]
RootCertificate = Annotated[
    list[Path] | None,
    typer.Option(
        help="PEM file: the bundle has to be signed with a certificate that leads to one of these; may repeat.",
        show_default=False,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(help="Threads (default: the target's, at most this machine's).", show_default=False, min=1),
]
