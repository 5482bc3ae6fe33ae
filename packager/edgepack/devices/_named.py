"""devices.toml: boards by name, in the folder where a command runs, else in edgepack's folder of settings.

[devices.kitchen]
address = "ssh://pi@kitchen"
target = "rpi"                     # optional: what it is; figures of a bundle for another are marked
profile = "pi-5"
folder = "/mnt/ssd/edgepack"       # optional: for edgepack's own files there, else ~/.cache/edgepack-device
python = "/usr/bin/python3.11"     # optional: the interpreter there, else python3
ssh_config = "ssh_config"          # optional: in place of ~/.ssh/config
program = "google-chrome"          # optional, of a browser: which one
modules = "web/node_modules"       # optional, of a browser: where npm has put onnxruntime-web
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from edgepack.devices._device import Device, kinds, made
from edgepack.errors import ProjectError, UnknownName
from edgepack.runtime.schema import Schema
from edgepack.toml_file import check_keys, check_table, read_toml

FILE = "devices.toml"
_STRING = {"type": "string", "minLength": 1, "maxLength": 1000}
_TYPES: Schema = {
    "properties": dict.fromkeys(
        ("address", "target", "profile", "folder", "python", "ssh_config", "program", "modules"), _STRING
    )
}


def find(address: str) -> Device:
    """Return the device of that name in devices.toml, or else at that address.

    Raises UnknownName, with the names and the forms of addresses that there are, ProjectError.
    """
    named = listed()
    if address in named:
        return named[address]
    try:
        return made(address)
    except UnknownName as unknown:
        raise UnknownName("device", address, [*named, *unknown.known]) from unknown


def listed(asked: Path | None = None) -> Mapping[str, Device]:
    """Return the devices of devices.toml, or of the file ``asked`` for, by name.

    There are none where there is no devices.toml. Raises ProjectError.
    """
    file = place() if asked is None else asked
    if asked is None and not file.exists():
        return {}
    table = read_toml(file, ProjectError)
    check_keys(table, ["devices"], file, ProjectError)
    boards = table.get("devices", {})
    if not isinstance(boards, dict):
        raise ProjectError(f"{file}: devices is not a table", hint="[devices.NAME] begins one")
    return {name: _device(name, entry, file) for name, entry in boards.items()}


def place() -> Path:
    """Return where devices.toml lies, or would."""
    own = Path(FILE)
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "edgepack" / FILE
    return own if own.exists() or not settings.exists() else settings


def _device(name: str, entry: object, file: Path) -> Device:
    where = f"{file}: devices.{name}"
    if not isinstance(entry, dict):
        raise ProjectError(f"{where} is not a table", hint=f"[devices.{name}] begins it")
    if name.partition(":")[0] in kinds():
        raise ProjectError(f"{where} is named like a kind of address", hint="choose another name")
    check_table(entry, _TYPES, where, ProjectError, required=["address"], hint='address = "ssh://user@host"')
    config, modules = (_beside(file, entry.get(key)) for key in ("ssh_config", "modules"))
    return made(
        entry["address"],
        name=name,
        target=entry.get("target", ""),
        profile=entry.get("profile", ""),
        folder=entry.get("folder", ""),
        python=entry.get("python", "python3"),
        ssh_config=config,
        program=entry.get("program", ""),
        modules=modules,
    )


def _beside(file: Path, named: str | None) -> Path | None:
    """Return a path that stands in ``file``, which is relative to its folder."""
    return file.absolute().parent / Path(named).expanduser() if named else None
