"""edgepack device: boards that this machine emulates."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from edgepack.cli import show
from edgepack.cli.command import Command
from edgepack.cli.options import Json

app = typer.Typer(help="Emulate a board on this machine.", rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def device() -> None:
    """Emulate a board on this machine."""


@app.command("emulate", cls=Command)
def emulate(
    board: Annotated[str, typer.Argument(help="rpi4 or rpi5.", metavar="BOARD", show_default=False)],
    port: Annotated[
        int, typer.Option(help="Port of its sshd on loopback (default: a free one).", min=0, max=65535, metavar="<n>")
    ] = 0,
    json: Json = False,
) -> None:
    """Emulate a Raspberry Pi that ssh reaches, until Ctrl-C.

    It shows what bundles compute, and not how fast. Needs Linux, root and the Debian packages mmdebstrap,
    qemu-user-static and binfmt-support.
    """
    from edgepack.devices import emulated  # here: the other commands start without it

    with show.Steps() as steps, emulated(board, port=port, say=steps.step) as made:
        if json:
            show.as_json({"name": made.name, "address": made.address, "ssh_config": made.ssh_config})
        else:
            show.paragraph(
                f'[devices.{made.name}]\naddress = "{made.address}"\ntarget = "{made.target}"\n'
                f'profile = "{made.profile}"\nssh_config = "{made.ssh_config}"'
            )
            show.line("put these lines into devices.toml; Ctrl-C ends the board")
        sys.stdout.flush()
        while True:
            time.sleep(3600)
