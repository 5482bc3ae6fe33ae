"""The commands and their order in the help."""

from __future__ import annotations

from typing import Annotated

import typer

from edgepack import __version__
from edgepack.cli import (
    bench,
    build,
    cache,
    compare,
    cost,
    device,
    devices,
    doctor,
    init,
    inspect,
    pack,
    run,
    sign,
    sweep,
    targets,
    validate,
)

app = typer.Typer(
    name="edgepack",
    help="Compress open models for phones, boards and browsers, and measure what they keep.",
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"edgepack {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Compress open models for phones, boards and browsers, and measure what they keep."""


app.command("init")(init.init)
app.command("build")(build.build)
app.command("validate")(validate.validate)
app.command("bench")(bench.bench)
app.command("sweep")(sweep.sweep_)
app.command("run")(run.run)
app.command("pack")(pack.pack)
app.command("sign")(sign.sign)
app.command("inspect")(inspect.inspect)
app.command("compare")(compare.compare)
app.command("cost")(cost.cost)
app.command("devices")(devices.devices)
app.add_typer(device.app, name="device")
app.command("targets")(targets.targets)
app.command("doctor")(doctor.doctor)
app.command("cache")(cache.cache)
