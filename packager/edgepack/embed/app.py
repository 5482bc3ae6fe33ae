"""Read a target's app/app.toml: what its apps' project is like, and which of its files are for which bundle."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edgepack import targets
from edgepack.documents import JsonObject
from edgepack.errors import TargetError, UsageError
from edgepack.records import Target
from edgepack.runtime.schema import Schema
from edgepack.toml_file import check_table, read_toml
from edgepack.units import parse_size

FILE = "app.toml"
_PAGE = "see docs/adding-an-app-template.md"
_STRING: Schema = {"type": "string", "minLength": 1, "maxLength": 1000}
_PATHS: Schema = {"type": "array", "items": {**_STRING, "pattern": r"^(?!/)(?!(.*/)?\.\.?(/|$))[^\\:]+$"}}
_TYPES: Schema = {
    "properties": {
        "title": _STRING,
        "like": _STRING,
        "folder": {**_STRING, "pattern": r"^[A-Za-z_-]+$"},
        "project": {"type": "array", "items": _STRING},
        "runtime": {**_STRING, "pattern": r"^[a-z_]+$"},
        "inputs": _PATHS["items"],
        "modules": {"type": "array", "items": _STRING},
        "reserved": {"type": "array", "items": _STRING},
        "forms": {"type": "object", "additionalProperties": {"type": "object"}},
        "tasks": {"type": "object", "additionalProperties": {"type": "object"}},
    }
}
_FORM: Schema = {
    "type": "object",
    "properties": {
        "title": _STRING,
        "bundle": _PATHS["items"],
        "files": _PATHS,
        "limit": {"type": ["string", "integer"]},
        "limit_of": {"enum": ["download", "disk"]},
    },
}
_TASK: Schema = {
    "type": "object",
    "properties": {
        "type": {**_STRING, "pattern": r"^[A-Z][A-Za-z0-9]+$"},
        "files": _PATHS,
        "modules": {"type": "array", "items": _STRING},
    },
}


@dataclass(frozen=True, kw_only=True)
class Form:
    """A way in which an app brings the bundle's files: a value of ``--as``."""

    name: str
    title: str
    bundle: str  # the folder of the bundle's files, relative to the generated folder
    files: tuple[str, ...] = ()  # of the template, that are of this form alone (and of others that name them)
    limit: int | None = None  # bytes that the form can take
    limit_of: Literal["download", "disk"] = "download"  # compressed, or as they lie on the device


@dataclass(frozen=True, kw_only=True)
class TaskFiles:
    """The part of a template that is about one task."""

    type: str  # the name that the wrapper has in the template
    files: tuple[str, ...]  # of the template, that are of this task alone (and of others that name them)
    modules: tuple[str, ...] = ()  # of edgepack, that the copied runtime holds for this task


@dataclass(frozen=True, kw_only=True)
class App:
    """A target's template: a project of which ``folder`` becomes a part of the user's app."""

    title: str
    place: Path  # of the template
    folder: str  # the generated part of it, a name with one of names.PLACEHOLDERS in it
    project: tuple[str, ...]  # patterns of files, one of which the user's project has; none: any folder will do
    runtime: str  # the package in ``folder`` that edgepack's runtime becomes; "" for none
    modules: tuple[str, ...]  # of edgepack, that the copied runtime holds with all that they import
    inputs: str  # the file in ``folder`` that golden_inputs.py makes; "" for none
    reserved: frozenset[str]  # words that the language keeps for itself; of Python its own modules too
    forms: Mapping[str, Form]  # the first is the usual one
    tasks: Mapping[str, TaskFiles] = field(default_factory=dict)

    def form(self, name: str | None) -> Form:
        """Return the form ``name``, by default the usual one. Raises UsageError."""
        if name is None:
            return next(iter(self.forms.values()))
        if name not in self.forms:
            raise UsageError(f"{self.title} has no form {name!r}", hint=f"--as {' or '.join(self.forms)}")
        return self.forms[name]


def read(target: Target) -> App:
    """Return the template of ``target``'s apps. Raises TargetError for one that is wrong, UsageError where it has
    none.
    """
    place = target.folder / "app"
    file = place / FILE
    if not file.is_file():
        raise UsageError(f"the target {target.name} brings no app template ({file} is not there)", hint=_PAGE)
    table = read_toml(file, TargetError)
    if set(table) == {"like"}:
        like = table["like"]
        if like == target.name:
            raise TargetError(f"{file} is like itself")
        return read(targets.load(like if "/" not in like else str(place / like)))
    check_table(table, _TYPES, file, TargetError, required=("title", "folder", "forms", "tasks"), hint=_PAGE)
    made = App(
        title=table["title"],
        place=place,
        folder=table["folder"],
        project=tuple(table.get("project", ())),
        runtime=table.get("runtime", ""),
        modules=tuple(table.get("modules", ())),
        inputs=table.get("inputs", ""),
        reserved=frozenset(table.get("reserved", ()))
        | (sys.stdlib_module_names if "runtime" in table else frozenset()),
        forms={name: _form(name, entry, file) for name, entry in table["forms"].items()},
        tasks={name: _task(name, entry, file) for name, entry in table["tasks"].items()},
    )
    _check(made, file)
    return made


def _form(name: str, table: JsonObject, file: Path) -> Form:
    where = f"{file}: forms.{name}"
    check_table(table, _FORM, where, TargetError, required=("title", "bundle"), hint=_PAGE)
    try:
        limit = parse_size(table["limit"]) if "limit" in table else None
    except ValueError as error:
        raise TargetError(f"{where}: {error}") from error
    files = tuple(table.get("files", ()))
    of = table.get("limit_of", "download")
    return Form(name=name, title=table["title"], bundle=table["bundle"], files=files, limit=limit, limit_of=of)


def _task(name: str, table: JsonObject, file: Path) -> TaskFiles:
    check_table(table, _TASK, f"{file}: tasks.{name}", TargetError, required=("type", "files"), hint=_PAGE)
    return TaskFiles(type=table["type"], files=tuple(table["files"]), modules=tuple(table.get("modules", ())))


def _check(app: App, file: Path) -> None:
    if not app.forms:
        raise TargetError(f"{file} has no form", hint=_PAGE)
    home = app.place / app.folder
    if not home.is_dir():
        raise TargetError(f"{file}: there is no folder {app.folder!r} beside it", hint=_PAGE)
    named = [*(form.files for form in app.forms.values()), *(task.files for task in app.tasks.values())]
    for name in (name for files in named for name in files):
        if not (home / name).exists():
            raise TargetError(f"{file}: {app.folder} has no {name!r}", hint=_PAGE)
