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
    embed,
    init,
    inspect,
    pack,
    run,
    serve,
    sign,
    size,
    sweep,
    targets,
    tune,
    validate,
)
from edgepack.cli.command import Command, Commands

app = typer.Typer(
    name="edgepack",
    cls=Commands,
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


app.command("init", cls=Command)(init.init)
app.command("build", cls=Command)(build.build)
app.command("validate", cls=Command)(validate.validate)
app.command("bench", cls=Command)(bench.bench)
app.command("tune", cls=Command)(tune.tune)
app.command("sweep", cls=Command)(sweep.sweep_)
app.command("run", cls=Command)(run.run)
app.command("serve", cls=Command)(serve.serve)
app.command("pack", cls=Command)(pack.pack)
app.command("sign", cls=Command)(sign.sign)
app.command("embed", cls=Command)(embed.embed)
app.command("size", cls=Command)(size.size)
app.command("inspect", cls=Command)(inspect.inspect)
app.command("compare", cls=Command)(compare.compare)
app.command("cost", cls=Command)(cost.cost)
app.command("devices", cls=Command)(devices.devices)
app.add_typer(device.app, name="device")
app.command("targets", cls=Command)(targets.targets)
app.command("doctor", cls=Command)(doctor.doctor)
app.command("cache", cls=Command)(cache.cache)
