"""The model and the targets that a command is asked to build: on the command line, else in edgepack.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgepack import project
from edgepack import targets as known_targets
from edgepack.errors import UsageError
from edgepack.plans import Request

Model = Annotated[
    str | None,
    typer.Argument(
        help="Hub id, folder or python:package/folder (default: the model of edgepack.toml).",
        metavar="MODEL",
        show_default=False,
    ),
]
TaskName = Annotated[
    str | None, typer.Option(help="Task, where the model's files do not say.", metavar="<task>", show_default=False)
]

Force = Annotated[bool, typer.Option("--force", help="Overwrite files and folders that edgepack did not write.")]


def request(
    model: str | None,
    target: list[str] | None,
    recipe: list[str] | None,
    out: Path | None,
    task: str | None,
) -> Request:
    """Return what the command line says, and edgepack.toml for the rest. Raises UsageError, ProjectError."""
    file = Path(project.FILE)
    found = project.read(file) if file.is_file() else project.Project()
    own = model is None
    if model == "":
        raise UsageError("the model's name is empty", hint="a hub id, a folder or python:package/folder")
    if model is None and found.model is None:
        raise UsageError(
            "no model given", hint="edgepack build MODEL --target rpi, or edgepack init for a project file"
        )
    targets = tuple(target or (found.targets if found.targets else ()))
    if not targets:
        raise UsageError("no target given", hint=f"--target {' | '.join(known_targets.names())}")
    return Request(
        model=str(found.model) if model is None else model,
        targets=targets,
        recipes=tuple(recipe or found.recipes),
        task=task or (found.task if own else None),
        adapters=found.adapters if own else (),
        out=out or found.out,
        overrides=found.overrides,
        calibration=found.calibration if own else None,
        evaluation=found.evaluation if own else None,
    )
