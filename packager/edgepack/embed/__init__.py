"""A bundle in an app's own project: a typed wrapper, tests of the golden vectors, and the bundle's files.

The code is made of the template in ``targets/<name>/app/`` (docs/adding-an-app-template.md).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from edgepack import targets
from edgepack.documents import read_object
from edgepack.embed import app as apps
from edgepack.embed import names, place, record
from edgepack.embed.app import App
from edgepack.embed.generated import Embedding, check_limit, check_task
from edgepack.embed.record import Record
from edgepack.errors import (
    AppError,
    AppFolderTaken,
    AppProjectMissing,
    BundleTooOld,
    FileTrouble,
    UnknownName,
    UsageError,
)
from edgepack.ours import EMBEDDED
from edgepack.records import Target
from edgepack.runtime import schema_1
from edgepack.runtime.manifest import LARGEST, MANIFEST, Manifest

__all__ = ["Difference", "Embedded", "Request", "check", "embed"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """An embedding that is asked for; None is what the target's template, or an earlier embedding, says."""

    listed: Manifest
    into: Path  # the app's folder
    form: str | None = None
    name: str | None = None
    target: str | None = None  # that has the template, by default the bundle's own


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """A finished embedding."""

    folder: Path
    record: Record
    kept: tuple[str, ...] = ()  # edited files that were kept aside, relative to the folder


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A file of an embedding that is not what it should be."""

    path: str  # relative to the embedded folder
    why: str


def embed(request: Request, *, update: bool = False) -> Embedded:
    """Embed a bundle whose files were checked; ``update`` replaces an earlier embedding.

    Raises AppError and its subclasses, UsageError, TargetError, BundleTooOld, FileTrouble, DiskFull.
    """
    _check_schema(request.listed)
    _check_writable(request.into)
    target, app = _template(request)
    if update:
        earlier, folder = _found(request, app)
        request = replace(request, name=earlier.name, form=request.form or earlier.form)
        made = _embedding(request, target, app)
        _check_place(made, folder)
        return _put(made, folder, earlier)
    _check_project(request, app)
    made = _embedding(request, target, app)
    folder = request.into / made.folder
    _check_free(folder, request.listed)
    return _put(made, folder, None)


def check(request: Request) -> tuple[Embedded, tuple[Difference, ...]]:
    """Compare an embedding with the bundle: its files by their hashes, and those that were generated with their own.

    Raises as ``embed`` does.
    """
    _check_schema(request.listed)
    target, app = _template(request)
    earlier, folder = _found(request, app)
    if request.form not in (None, earlier.form):
        raise UsageError(f"{folder} was embedded as {earlier.form}", hint=f"--update --as {request.form} changes that")
    made = _embedding(replace(request, name=earlier.name, form=earlier.form), target, app)
    _check_place(made, folder)
    wanted, states = made.bundle_hashes(), record.states(folder, earlier)
    found = []
    for path in sorted({*wanted, *earlier.files, *states}):
        inside = path.startswith(f"{earlier.bundle_folder}/")
        if inside and (path not in wanted or earlier.files.get(path) != wanted[path]):
            found.append(Difference(path=path, why="is not the bundle's"))
        elif path in states and (inside or states[path] != "yours"):
            found.append(Difference(path=path, why=_WHY[states[path]]))
    return Embedded(folder=folder, record=earlier), tuple(found)


_WHY = {"missing": "is missing", "changed": "was changed after it was generated", "yours": "is not the bundle's"}


def _put(made: Embedding, folder: Path, earlier: Record | None) -> Embedded:
    written, kept = place.put(made, folder, earlier)
    return Embedded(folder=folder, record=written, kept=tuple(kept))


def _template(request: Request) -> tuple[Target, App]:
    """Return the target and its template. Raises AppError for another target than the bundle's."""
    own, profile = (str(request.listed.table["target"][key]) for key in ("name", "profile"))
    try:
        target = _loaded(request.target or own, profile)
    except UsageError as error:
        hint = "--target names the folder of the target that it was built for"
        raise UsageError(f"{request.listed.name} is for the target {own!r}, which is not here", hint=hint) from error
    if target.name != own:
        raise AppError(
            f"{request.listed.name} is for {own}, not for {target.name}",
            hint=f"edgepack build {request.listed.table['source']['model']} --target {target.name}",
        )
    app = apps.read(target)
    check_task(app, request.listed)
    return target, app


def _loaded(name: str, profile: str) -> Target:
    """Return a target with the bundle's profile, or with its usual one where it has none of that name."""
    try:
        return targets.load(f"{name}:{profile}")
    except UnknownName:
        return targets.load(name)


def _embedding(request: Request, target: Target, app: App) -> Embedding:
    listed, own = request.listed, str(request.listed.table["target"]["name"])
    named = (
        names.derived(listed.name, own, app.reserved)
        if request.name is None
        else names.given(request.name, app.reserved)
    )
    form = app.form(request.form)
    check_limit(app, form, listed)
    placed = replace(form, bundle=named.filled(form.bundle))
    return Embedding(listed=listed, target=target, app=app, form=placed, names=named)


def _found(request: Request, app: App) -> tuple[Record, Path]:
    """Return the earlier embedding that a request is about. Raises AppError where there is none, or several."""
    listed, into = request.listed, request.into
    there = {file.parent: record.read(file.parent) for file in sorted(into.glob(f"*/{EMBEDDED}"))}
    known = {folder: one for folder, one in there.items() if one is not None}
    if request.name is not None:
        pascal = names.given(request.name, app.reserved).pascal
        own = {folder: one for folder, one in known.items() if one.names.pascal == pascal}
    else:
        own = {folder: one for folder, one in known.items() if one.bundle == listed.name}
    if len(own) > 1:
        raise AppError(
            f"{into} holds {listed.name} {len(own)} times",
            hint=f"--name {' or '.join(one.names.pascal for one in own.values())}",
        )
    if not own:
        others = ", ".join(f"{one.bundle} as {one.names.pascal}" for one in known.values())
        raise AppError(
            f"{into} holds no embedding of {request.name or listed.name}" + (f"; it holds {others}" if others else ""),
            hint="--name says which one" if others else "edgepack embed without --update or --check makes one",
        )
    ((folder, found),) = own.items()
    same = found.task == listed.task and found.target == listed.table["target"]["name"]
    if not same or (found.bundle != listed.name and found.model != listed.table["source"]["model"]):
        raise AppFolderTaken(
            f"{folder} holds {found.bundle}, made of {found.model} for {found.task} on {found.target}",
            hint="--name gives this bundle a folder of its own, without --update",
        )
    return found, folder


def _check_place(made: Embedding, folder: Path) -> None:
    """Raises AppFolderTaken for a folder that was renamed, by whose name its own code no longer finds itself, and for
    a link to one.
    """
    if folder.name != made.folder:
        raise AppFolderTaken(
            f"{folder} was embedded as {made.folder}, and its code has that name",
            hint=f"mv {folder} {folder.with_name(made.folder)}",
        )
    if folder.is_symlink():
        raise AppFolderTaken(
            f"{folder} is a link to {folder.resolve()}", hint=f"--into {folder.resolve().parent} is where it lies"
        )


def _check_free(folder: Path, listed: Manifest) -> None:
    if not os.path.lexists(folder):
        return
    held = record.read(folder) if folder.is_dir() else None
    if held is None:
        raise AppFolderTaken(
            f"{folder} is there already, and edgepack did not generate it",
            hint="--name gives the bundle another folder",
        )
    if held.bundle == listed.name:
        raise AppFolderTaken(f"{folder} holds this bundle already", hint="--update replaces it")
    raise AppFolderTaken(
        f"{folder} holds another bundle, {held.bundle}",
        hint="--name gives this one another folder; or --update --name "
        f"{held.names.pascal} replaces that one by another of the same model",
    )


def _check_project(request: Request, app: App) -> None:
    """Raises AppProjectMissing where the folder holds no project of the app's kind, or one of another kind."""
    into = request.into
    if any(any(into.glob(pattern)) for pattern in app.project):
        return
    other = None if request.target else _other_project(into, app)
    wanted = " or ".join(app.project)
    if app.project:
        told = f"; its {other[1]} is of an app for {other[0]}" if other else ""
        raise AppProjectMissing(
            f"{into} has no {wanted}, so it is no project for {app.title}{told}",
            hint="give the folder of the app's project with --into",
        )
    if other:
        raise AppError(
            f"{into} is a project for {other[0]} ({other[1]}), and {request.listed.name} is for "
            f"{request.listed.table['target']['name']}",
            hint=f"edgepack build --target {other[0]}; or --target {request.listed.table['target']['name']} says that "
            "it is meant",
        )


def _other_project(into: Path, own: App) -> tuple[str, str] | None:
    """Return the built-in target whose apps have projects as ``into`` is one, and the file that tells."""
    for name in targets.names():
        target = targets.load(name)
        if not (target.folder / "app" / apps.FILE).is_file():
            continue
        app = apps.read(target)
        found = [file.name for pattern in app.project for file in into.glob(pattern)]
        if app != own and found:
            return name, found[0]
    return None


def _check_schema(listed: Manifest) -> None:
    """Raises BundleTooOld for schema 1, whose processing code in other languages does not read."""
    if read_object(listed.folder / MANIFEST, largest=LARGEST)["schema"] == schema_1.VERSION:
        raise BundleTooOld(
            f"{listed.folder} has schema {schema_1.VERSION}, which apps are not generated from",
            hint=f"build it again: edgepack build {listed.table['source']['model']}",
        )


def _check_writable(into: Path) -> None:
    if not into.is_dir():
        told = f"{into} is not a folder" if into.exists() else f"there is no folder {into}"
        raise FileTrouble(told, hint="--into is the folder of an app's project")
    if not os.access(into, os.W_OK | os.X_OK):
        raise FileTrouble(f"{into} cannot be written to", hint="change its permissions, or give another folder")
    place = into.resolve()
    for folder in (place, *place.parents):
        for file, what in ((MANIFEST, "a bundle"), (EMBEDDED, "what was embedded")):
            if (folder / file).is_file():
                raise FileTrouble(
                    f"{into} is a part of {what} ({folder / file})", hint="--into is the folder of an app's project"
                )
