"""edgepack devices: the boards of devices.toml, as they are now."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from edgepack.cli import show
from edgepack.cli.options import Json
from edgepack.documents import JsonDict
from edgepack.errors import DeviceError, UsageError
from edgepack.reports.table import Cell, Table
from edgepack.units import size

if TYPE_CHECKING:
    from edgepack.devices import Device, Facts


def devices(
    addresses: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names or addresses (default: all of devices.toml).", metavar="ADDRESS", show_default=False
        ),
    ] = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="Delete what edgepack keeps there: bundles, its runtime, packages.")
    ] = False,
    json: Json = False,
) -> None:
    """Show devices: model, processor, memory, temperature, packages."""
    from edgepack import devices as known  # here: the other commands start without it

    chosen = [known.find(address) for address in addresses] if addresses else list(known.listed().values())
    if not chosen:
        trouble = f"{known.place()} names no devices" if known.place().exists() else "there is no devices.toml here"
        raise UsageError(trouble, hint="edgepack devices ssh://user@host looks at one device")
    if clear:
        freed = {device.name: known.clear(device) for device in chosen}
        if json:
            show.as_json(freed)
        for name, number in freed.items() if not json else ():
            show.line(f"freed {size(number)} on {name}")
        return
    with show.Steps(total=len(chosen)) as steps:
        found = [(device, _probed(device, steps)) for device in chosen]
    if json:
        show.as_json([_facts(device, told) for device, told in found])
    else:
        _show(found)
    errors = [told for _, told in found if isinstance(told, DeviceError)]
    if errors:
        raise errors[0]


def _probed(device: Device, steps: show.Steps) -> Facts | DeviceError:
    from edgepack.devices import probe

    steps.step(device.name)
    try:
        return probe(device)
    except DeviceError as error:
        return error


def _facts(device: Device, told: Facts | DeviceError) -> JsonDict:
    own = {"error": str(told), "hint": told.hint} if isinstance(told, DeviceError) else asdict(told)
    return {"name": device.name, "address": device.address, **own}


def _show(found: list[tuple[Device, Facts | DeviceError]]) -> None:
    head = ["device", "model", "processor", "memory", "free disk", "page", "°C", "Python", "packages"]
    rows: list[list[Cell]] = [
        [device.name, *_cells(told)] for device, told in found if not isinstance(told, DeviceError)
    ]
    away = [f"{device.name}: {told}" for device, told in found if isinstance(told, DeviceError)]
    show.table("devices", Table(head, rows, figures=["memory", "free disk", "page", "°C"], notes=away))


def _cells(told: Facts) -> list[Cell]:
    cores = f"{told.cores} × {told.machine}" if told.cores else told.machine
    return [
        f"{told.model} (emulated)" if told.emulated else told.model,
        f"{cores} {' '.join(told.features)}".strip(),
        *(None if value is None else size(value) for value in (told.memory, told.free)),
        None if told.page is None else f"{told.page // 1024} KB",
        None if told.temperature is None else f"{told.temperature:.0f}",
        told.python or None,
        ", ".join(f"{name} {version}" for name, version in told.packages.items()) or None,
    ]
