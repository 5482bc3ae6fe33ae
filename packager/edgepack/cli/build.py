"""edgepack build: a model becomes measured bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgepack import pipeline, project
from edgepack import targets as known_targets
from edgepack.cli import show
from edgepack.cli.options import Json
from edgepack.errors import UsageError
from edgepack.records import Bundle
from edgepack.reports import accuracy_table, sizes_table, speed_table
from edgepack.reports.page import Table
from edgepack.units import size

_STEPS = 4  # that a bundle takes, for the progress bar


def build(
    model: Annotated[
        str | None,
        typer.Argument(help="Hub id, folder or python:package/folder (default: edgepack.toml's).", show_default=False),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", "-t", help="Target, with a profile as rpi:pi4; may repeat.", show_default=False),
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option("--recipe", "-r", help="Recipe (default: what measured best); may repeat.", show_default=False),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where bundles go (default: dist).", show_default=False)] = None,
    task: Annotated[str | None, typer.Option(help="Task, where the files do not tell.", show_default=False)] = None,
    allow_loss: Annotated[
        bool, typer.Option("--allow-loss", help="Keep a bundle that misses an accuracy floor.")
    ] = False,
    speed: Annotated[bool, typer.Option(help="Measure the speed on this machine.")] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be built and whether it fits.")
    ] = False,
    json: Json = False,
) -> None:
    """Convert, compress and measure a model for each target."""
    request = _request(model, target, recipe, out, task, allow_loss, speed)
    if dry_run:
        _show_plans(pipeline.plan(request), json)
        return
    with show.Steps(total=2 + _STEPS * len(request.targets) * max(len(request.recipes), 1)) as steps:
        bundles = pipeline.build(request, steps)
    if json:
        show.as_json([_facts(bundle) for bundle in bundles])
    else:
        for bundle in bundles:
            _show(bundle)


def _request(
    model: str | None,
    target: list[str] | None,
    recipe: list[str] | None,
    out: Path | None,
    task: str | None,
    allow_loss: bool,
    speed: bool,
) -> pipeline.Request:
    """What the command line says, and edgepack.toml for the rest."""
    file = Path(project.FILE)
    found = project.read(file) if file.is_file() else project.Project()
    own = model is None
    if model is None and found.model is None:
        raise UsageError("which model?", hint="edgepack build MODEL --target rpi, or edgepack init for a project file")
    targets = tuple(target or (found.targets if found.targets else ()))
    if not targets:
        raise UsageError("for which target?", hint=f"--target {' | '.join(known_targets.names())}")
    return pipeline.Request(
        model=model or str(found.model),
        targets=targets,
        recipes=tuple(recipe or found.recipes),
        task=task or (found.task if own else None),
        out=out or found.out,
        overrides=found.overrides,
        calibration=found.calibration if own else None,
        evaluation=found.evaluation if own else None,
        allow_loss=allow_loss,
        measure_speed=speed,
    )


def _show(bundle: Bundle) -> None:
    show.line("")
    show.line(f"{bundle.path}  {size(bundle.artifact.bytes)}  {bundle.recipe.name}", "bold")
    show.table("accuracy, against the original on the same inputs", accuracy_table(bundle.accuracy))
    show.table("speed on this machine", speed_table(bundle.timings))
    show.table("size", sizes_table(bundle.artifact.components))
    coverage = bundle.artifact.coverage
    if coverage.total:
        show.line(f"\n{coverage.share:.3%} of the weights compressed" + _left(bundle))
    show.line(f"report: {bundle.path}.html")


def _left(bundle: Bundle) -> str:
    names = [f"{skipped.tensor} ({skipped.reason})" for skipped in bundle.artifact.coverage.skipped[:3]]
    return f"; left: {', '.join(names)}" if names else ""


def _show_plans(plans: list[pipeline.Plan], json: bool) -> None:
    if json:
        show.as_json(
            [
                {
                    "bundle": p.name,
                    "target": p.target.name,
                    "recipe": p.recipe.name,
                    "needs": p.need,
                    "fits": p.fits,
                }
                for p in plans
            ]
        )
        return
    rows = [
        [
            p.name,
            p.recipe.name,
            size(p.need.weights),
            size(p.need.activations),
            size(p.need.total),
            size(p.target.profile.memory),
        ]
        for p in plans
    ]
    head = ["bundle", "recipe", "weights", "activations", "in all", "the target gives"]
    show.table("estimated memory", Table(head, rows, [p.fits for p in plans]))


def _facts(bundle: Bundle) -> dict[str, Any]:
    return {
        "path": bundle.path,
        "target": bundle.target.name,
        "recipe": bundle.recipe.name,
        "bytes": bundle.artifact.bytes,
        "accuracy": bundle.accuracy,
        "timings": bundle.timings,
        "components": bundle.artifact.components,
        "coverage": bundle.artifact.coverage,
    }
