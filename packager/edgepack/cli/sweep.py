"""edgepack sweep: many builds, checks and measurements at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgepack.cli.options import Json


def sweep_(
    file: Annotated[
        Path,
        typer.Argument(
            help="The sweep's TOML file (default: sweep.toml).", metavar="FILE", show_default=False, readable=False
        ),
    ] = Path("sweep.toml"),
    workers: Annotated[
        int | None,
        typer.Option(
            help="Units at a time on this machine (default: one for each processor).",
            metavar="<n>",
            show_default=False,
            min=1,
            max=1024,
        ),
    ] = None,
    on: Annotated[
        str,
        typer.Option(help="Where units run: dask://host:8786 or slurm.", metavar="<cluster>", show_default=False),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the units and which of them are done.")] = False,
    json: Json = False,
) -> None:
    """Build, check and measure many models on many devices.

    A file lists models, targets, recipes, suites and devices; each combination is a unit (docs/sweeps.md).

    A sweep that was stopped goes on where it was. Exit code 1 when a unit fails.
    """
    from edgepack.cli.sweeping import run  # here: the other commands start without it

    run(file, on, workers, dry_run=dry_run, json=json)
