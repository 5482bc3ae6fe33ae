"""Read sweep.toml; whatever cannot be understood is an error with its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edgepack.documents import JsonObject
from edgepack.errors import ProjectError, nearest
from edgepack.runtime.schema import Schema
from edgepack.sweep._records import ModelEntry, Sweep
from edgepack.toml_file import check_keys, check_table, read_toml
from edgepack.units import parse_size

_PAGE = "see docs/sweeps.md"
_STRING = {"type": "string", "minLength": 1, "maxLength": 4000}
_NAMES = {"type": "array", "items": _STRING}
_FLAG = {"type": "boolean"}
_KEYS = ("model", "target", "recipe", "suite", "device")
_MODEL: Schema = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("model", "task", "max_size", "original"), _STRING),
        "adapter": {"type": ["string", "array"]},
        "context": {"type": "integer", "minimum": 1},
        "lengths": {"type": "array", "items": {"type": "integer", "minimum": 1}},
        **dict.fromkeys(("fit", "allow_loss", "allow_unread"), _FLAG),
        "memory": {"type": ["string", "integer"]},
        "folder": {**_STRING, "pattern": r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$"},
    },
}
_COMBINATION: Schema = {"type": "object", "properties": dict.fromkeys(_KEYS, _STRING)}
_COMBINATIONS: Schema = {"type": "array", "items": _COMBINATION}
_SLURM: Schema = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("partition", "account", "qos"), _STRING),
        "minutes": {"type": "integer", "minimum": 1},
    },
}
_TYPES: Schema = {
    "properties": {
        "name": {**_STRING, "maxLength": 100},
        "out": _STRING,
        **dict.fromkeys(("models", "targets", "recipes", "suites", "devices"), _NAMES),
        "threads": {"type": "integer", "minimum": 1, "maximum": 1024},
        "model": {"type": "array", "items": _MODEL},
        **dict.fromkeys(("exclude", "include"), _COMBINATIONS),
        "slurm": _SLURM,
    }
}


def read(file: Path) -> Sweep:
    """Return the sweep of ``file``. Raises ProjectError."""
    if not file.exists():
        raise ProjectError(f"there is no {file}", hint="docs/sweeps.md has one to start from")
    table = read_toml(file, ProjectError)
    check_table(table, _TYPES, file, ProjectError)
    root = file.resolve().parent
    found = Sweep(
        name=table.get("name", file.stem),
        file=file.resolve(),
        out=(root / table.get("out", "dist")).resolve(),
        models=_models(table, file, root),
        targets=tuple(_target(root, name) for name in table.get("targets", ())),
        recipes=tuple(table.get("recipes", ())),
        suites=tuple(_suite(root, name) for name in table.get("suites", ())),
        devices=tuple(table.get("devices", ())),
        threads=table.get("threads", 1),
        exclude=tuple(_placed(one, root) for one in _combinations(table, "exclude", file)),
        include=tuple(_placed(one, root) for one in _combinations(table, "include", file)),
        slurm=table.get("slurm", {}),
    )
    _check_includes(found, file)
    return found


def _models(table: JsonObject, file: Path, root: Path) -> tuple[ModelEntry, ...]:
    plain = [ModelEntry(model=_local(root, name)) for name in table.get("models", ())]
    tables = enumerate(table.get("model", ()), 1)
    return (*plain, *(_model(one, f"{file}, model {number}", root) for number, one in tables))


def _model(table: JsonObject, place: str, root: Path) -> ModelEntry:
    check_table(table, _MODEL, place, ProjectError, required=("model",), hint=_PAGE)
    adapter = table.get("adapter", [])
    adapters = [adapter] if isinstance(adapter, str) else adapter
    if not all(isinstance(one, str) and one for one in adapters):
        raise ProjectError(f"{place}: adapter is not a name or a list of names", hint='adapter = "./my-lora"')
    return ModelEntry(
        model=_local(root, table["model"]),
        task=table.get("task"),
        adapters=tuple(_local(root, one) for one in adapters),
        context=table.get("context"),
        lengths=tuple(table.get("lengths", ())),
        max_size=table.get("max_size"),
        fit=table.get("fit", False),
        allow_loss=table.get("allow_loss", False),
        allow_unread=table.get("allow_unread", False),
        original=table.get("original", ""),
        memory=_size(table, "memory", place),
        folder=table.get("folder", ""),
    )


def _size(table: JsonObject, key: str, place: str) -> int | None:
    if key not in table:
        return None
    try:
        found = parse_size(table[key])
    except (ValueError, OverflowError) as error:
        raise ProjectError(f"{place}: {key}: {error}") from error
    if found < 1:
        raise ProjectError(f"{place}: {key} is {table[key]!r}", hint=f'{key} = "2 GB"')
    return found


def _combinations(table: JsonObject, key: str, file: Path) -> Sequence[Mapping[str, str]]:
    found: Sequence[Mapping[str, str]] = table.get(key, ())
    for number, one in enumerate(found, 1):
        check_keys(one, _KEYS, f"{file}, {key} {number}", ProjectError)
        if not one:
            raise ProjectError(f"{file}, {key} {number} is empty", hint=f"give one of {', '.join(_KEYS)}")
    return found


def _placed(combination: Mapping[str, str], root: Path) -> Mapping[str, str]:
    """Return a combination with its paths absolute, as those of the sweep are."""
    return {key: _PLACES[key](root, value) if key in _PLACES else value for key, value in combination.items()}


def _check_includes(sweep: Sweep, file: Path) -> None:
    models = [entry.model for entry in sweep.models]
    for number, one in enumerate(sweep.include, 1):
        for key in ("model", "target"):
            if key not in one:
                raise ProjectError(f"{file}, include {number} lacks {key!r}", hint=_PAGE)
        if one["model"] not in models and (close := nearest(one["model"], models)):
            raise ProjectError(f"{file}, include {number}: no model {one['model']!r}", hint=f"did you mean {close!r}?")


def _local(root: Path, name: str) -> str:
    """Return the absolute path of a model or an adapter beside the file; ids and python: references stay."""
    if name.startswith("python:"):
        return name
    place, colon, rest = name.partition(":")  # the scale of an adapter
    there = (root / place).exists()
    return f"{_absolute(root, place)}{colon}{rest}" if there or name.startswith((".", "/", "~")) else name


def _target(root: Path, name: str) -> str:
    """Return the absolute path of a target's folder, with its profile; names of built-in ones stay as they are."""
    folder, colon, profile = name.partition(":")
    return f"{_absolute(root, folder)}{colon}{profile}" if "/" in folder else name


def _absolute(root: Path, place: str) -> Path:
    return (root / Path(place).expanduser()).resolve()


def _suite(root: Path, name: str) -> str:
    """Return the absolute path of a suite's file."""
    return str(_absolute(root, name))


_PLACES: Mapping[str, Callable[[Path, str], str]] = {"model": _local, "target": _target, "suite": _suite}
