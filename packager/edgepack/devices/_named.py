"""devices.toml: boards by name, in the folder where a command runs, else in edgepack's folder of settings.

[devices.kitchen]
address = "ssh://pi@kitchen"
target = "rpi"                     # optional: what it is, a name or a folder; figures of bundles for others are marked
profile = "pi5"                    # optional: of this target
folder = "/mnt/ssd/edgepack"       # optional: for edgepack's own files there, else ~/.cache/edgepack-device
python = "/usr/bin/python3.11"     # optional: the interpreter there, else python3
ssh_config = "ssh_config"          # optional: in place of ~/.ssh/config
program = "google-chrome"          # optional, of a browser: which one
modules = "web/node_modules"       # optional, of a browser: where npm has put onnxruntime-web

Kinds of devices differ in what they use: a key that a device has no use for is an error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from edgepack import targets
from edgepack.devices._device import Device, keys, kinds, made
from edgepack.documents import JsonObject
from edgepack.errors import EdgepackError, MissingExtra, ProjectError, UnknownName
from edgepack.runtime.schema import Schema
from edgepack.toml_file import check_keys, check_table, read_toml

FILE = "devices.toml"
_EVERY = ("address", "target", "profile")  # keys of every kind of device
_STRING = {"type": "string", "minLength": 1, "maxLength": 1000, "pattern": r"^[^\x00-\x1f\x7f]+$"}
_TYPES: Schema = {
    "properties": dict.fromkeys((*_EVERY, "folder", "python", "ssh_config", "program", "modules"), _STRING)
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
    with _naming(where):
        device = made(
            entry["address"],
            name=name,
            target=_target(entry, file),
            profile=entry.get("profile", ""),
            folder=entry.get("folder", ""),
            python=entry.get("python", "python3"),
            ssh_config=config,
            program=entry.get("program", ""),
            modules=modules,
        )
        used = (*_EVERY, *keys(device))
    for key in entry:
        if key not in used:
            raise ProjectError(f"{where}: {device.kind} has no use for {key!r}", hint=f"it takes {', '.join(used)}")
    return device


def _target(entry: JsonObject, file: Path) -> str:
    """Return the name of the target that a device is of, or "". Raises UnknownName, TargetError, ProjectError."""
    named, profile = entry.get("target", ""), entry.get("profile", "")
    if not named:
        if profile:
            raise ProjectError(f"profile {profile!r} is of no target", hint='target = "rpi" names it')
        return ""
    if ":" in named:
        raise ProjectError(f"target is {named!r}", hint='a profile has a key of its own: profile = "pi5"')
    place = str(_beside(file, named)) if "/" in named else named
    return targets.load(f"{place}:{profile}" if profile else place).name


@contextmanager
def _naming(where: str) -> Iterator[None]:
    """Turn what is wrong with an entry into a ProjectError that names it, ``where``."""
    try:
        yield
    except MissingExtra:  # which a command of its own installs
        raise
    except EdgepackError as error:
        raise ProjectError(f"{where}: {error}", hint=error.hint) from error


def _beside(file: Path, named: str | None) -> Path | None:
    """Return a path that stands in ``file``, which is relative to its folder."""
    return file.absolute().parent / Path(named).expanduser() if named else None
