"""Options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from edgepack.errors import UsageError
from edgepack.units import parse_size


def output_path(text: str) -> Path:
    """Parse the path of an output. Raises UsageError for "", as an unset variable gives, which would be this folder."""
    if not str(text):
        raise UsageError("the path is empty", hint='"." is this folder')
    return Path(text)


def size_of(option: str) -> Callable[[str], int]:
    """Return what parses the bytes of ``option``, such as "25 MB"; it raises UsageError for what is no size, and 0."""

    def parse(text: str) -> int:
        try:
            size = parse_size(text)
        except ValueError as error:
            raise UsageError(f"{option}: {error}", hint=f"{option} '24 MB'") from error
        if size < 1:
            raise UsageError(f"{option}: {text!r} is less than a byte", hint=f"{option} '24 MB'")
        return size

    return parse


# whether it can be read is found out by who reads it, with the same exit code for its files
Bundle = Annotated[
    Path,
    typer.Argument(help="Bundle: a folder or an .edgepack file.", metavar="BUNDLE", show_default=False, readable=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Open the bundle even if it could need far more time or memory than its size suggests (docs/security.md).",
    ),
]
PublicKey = Annotated[
    Path | None,
    typer.Option(
        help="PEM file. Fails unless the bundle is signed with this key (edgepack sign).",
        show_default=False,
    ),
]
RootCertificate = Annotated[
    list[Path] | None,
    typer.Option(
        help="PEM file. Fails unless the bundle is signed with a certificate that leads to this one. Repeatable.",
        metavar="<path>",
        show_default=False,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        help="Threads (default: the target's number, at most this machine's).", metavar="<n>", show_default=False, min=1
    ),
]

History = Annotated[
    Path | None,
    typer.Option(
        help="SQLite file with the measurements of a project (default: edgepack-history.sqlite beside an "
        "edgepack.toml in this folder).",
        metavar="<path>",
        show_default=False,
    ),
]
OnDevice = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="Device to run on: ssh://user@host[:port], adb://[serial], browser, local, or a name of "
        "devices.toml (default: this machine).",
        metavar="<address>",
        show_default=False,
    ),
]
Prepare = Annotated[
    bool,
    typer.Option("--prepare", help="Bring the packages that the runtime needs to --device, for its processor."),
]
Runs = Annotated[
    int,
    typer.Option(
        help="Minimum runs per input (default: 100): 64 give a p90, 662 a p99.",
        metavar="<n>",
        show_default=False,
        min=1,
        max=1_000_000,
    ),
]
Seconds = Annotated[
    float,
    typer.Option(
        help="Minimum seconds per input (default: 10).", metavar="<s>", show_default=False, min=0.0, max=86_400.0
    ),
]
Repeat = Annotated[
    int,
    typer.Option(
        help="How often an input is measured again, at most, when something disturbed it (default: 2).",
        metavar="<n>",
        show_default=False,
        min=0,
        max=100,
    ),
]


def check_seconds(option: str, value: float) -> None:
    """Raises UsageError for NaN, which keeps every bound that typer checks."""
    if math.isnan(value):
        raise UsageError(f"{option} nan is not a number of seconds", hint="give a number, 0 to 86,400")
