"""edgepack cost: the bill of a hosted service beside that of the users' devices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer.models import OptionInfo

from edgepack import cost as costs
from edgepack import outfolder, reports
from edgepack.cli import outpage, show
from edgepack.cli.options import Json, Trust, output_path
from edgepack.reports import MARK
from edgepack.reports import bill as tables
from edgepack.runtime.opening import opened


def _number(help: str, metavar: str = "<n>") -> OptionInfo:
    found: OptionInfo = typer.Option(help=help, metavar=metavar, show_default=False)
    return found


def cost(
    bundle: Annotated[
        Path | None,
        typer.Argument(
            help="Bundle, for its size and timings: a folder or an .edgepack file.",
            metavar="BUNDLE",
            show_default=False,
        ),
    ] = None,
    requests: Annotated[float | None, _number("Requests of all users a day: images, answers, …")] = None,
    users: Annotated[float | None, _number("Daily users.")] = None,
    each: Annotated[float | None, _number("Requests of each of them a day.")] = None,
    service: Annotated[str | None, _number("Hosted service by name, of the presets or --prices.", "<name>")] = None,
    per_thousand: Annotated[float | None, _number("Price of 1,000 requests there.", "<$>")] = None,
    per_million_in: Annotated[float | None, _number("Price of a million input tokens there.", "<$>")] = None,
    per_million_out: Annotated[float | None, _number("Price of a million output tokens there.", "<$>")] = None,
    tokens_in: Annotated[float | None, _number("Input tokens of a request, on average.")] = None,
    tokens_out: Annotated[float | None, _number("Output tokens of a request, on average.")] = None,
    prices: Annotated[Path | None, _number("TOML file with prices by name (docs/cost.md).", "<path>")] = None,
    size: Annotated[str | None, _number("Size of what is delivered, without a bundle: '600 MB'.", "<size>")] = None,
    installs: Annotated[float | None, _number("Devices that download it in a year.")] = None,
    updates: Annotated[float | None, _number("Times in a year that they download it again.")] = None,
    egress: Annotated[
        str | None, _number("Price of delivering a GB, or its name; 0 where an app store delivers it.", "<$>")
    ] = None,
    one_off: Annotated[float | None, _number("What going on-device costs once.", "<$>")] = None,
    unable: Annotated[
        float | None, _number("Share of users who stay on the server, as their device cannot run it: 0 to 1.")
    ] = None,
    devices: Annotated[
        Path | None, _number("TOML or CSV file of devices' memory and shares, in --unable's place.", "<path>")
    ] = None,
    memory: Annotated[
        str | None, _number("Memory that the model takes, for --devices (default: the bundle's estimate).", "<size>")
    ] = None,
    energy: Annotated[str | None, _number("Energy of a request on the device: '40 J', '11 mWh'.", "<energy>")] = None,
    power: Annotated[
        str | None, _number("Power of the device while it computes, '6 W', in --energy's place.", "<power>")
    ] = None,
    seconds: Annotated[
        float | None, _number("Seconds of a request, for --power (default: as the bundle was timed).", "<s>")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Page to write, with the curve.", parser=output_path, metavar="<path>", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that edgepack did not write.")] = False,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Compare the yearly cost of a hosted service and of devices.

    Prices are in US dollars. A figure that is not stated is left out, and named; docs/cost.md has the arithmetic.
    """
    listed = None if bundle is None else opened(bundle, trust=trust)
    outpage.check(html, listed, force=force)
    asked = costs.Asked(
        bundle=listed,
        requests=requests,
        users=users,
        each=each,
        service=service,
        per_thousand=per_thousand,
        per_million_in=per_million_in,
        per_million_out=per_million_out,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        prices=prices,
        size=size,
        installs=installs,
        updates=updates,
        egress=egress,
        one_off=one_off,
        unable=unable,
        devices=devices,
        memory=memory,
        energy=energy,
        power=power,
        seconds=seconds,
    )
    made = costs.bill(costs.scenario(asked))
    name = "" if listed is None else listed.name
    if html is not None:
        outfolder.write(html, reports.of_bill(made, name), mark=MARK, force=force)
    if json:
        show.as_json(tables.of_bill(made))
        return
    show.table("the bill, in US dollars", tables.bill_table(made))
    show.table("data and energy", tables.device_table(made))
    show.table("what goes in", tables.scenario_table(made.scenario))
    if html is not None:
        show.line(f"wrote {html}")
