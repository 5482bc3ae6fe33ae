"""edgepack build: a model becomes measured bundles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from edgepack import pipeline, project
from edgepack import targets as known_targets
from edgepack.cli import show
from edgepack.cli.options import Json, output_path
from edgepack.errors import UsageError
from edgepack.original import TRANSFORMERS
from edgepack.records import Bundle
from edgepack.reports import accuracy_table, figure, sizes_table, speed_table
from edgepack.reports.page import Table
from edgepack.units import parse_size, size

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
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where bundles go (default: dist).",
            parser=output_path,
            metavar="<path>",
            show_default=False,
        ),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Task, where the files do not tell.", show_default=False)] = None,
    adapter: Annotated[
        str | None,
        typer.Option(help="PEFT LoRA to merge into the weights: folder or hub id.", show_default=False),
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(
            help="Longest text in tokens (default: the model's; of a language model at most 4096).",
            show_default=False,
            min=1,
        ),
    ] = None,
    lengths: Annotated[
        str | None,
        typer.Option(
            help="Tokens that a Core ML model takes, as 128 or 32,64,128 (default: any number).", show_default=False
        ),
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option(help="Of a Core ML model, as 25MB: each weight gets the form that fits best.", show_default=False),
    ] = None,
    fit: Annotated[
        bool, typer.Option("--fit", help="Choose the finest recipe and the longest context that fit the target.")
    ] = False,
    allow_loss: Annotated[
        bool, typer.Option("--allow-loss", help="Keep a bundle that misses an accuracy floor.")
    ] = False,
    original: Annotated[
        str,
        typer.Option(
            help="transformers: compare a language model that fits in memory with transformers itself.",
            show_default=False,
        ),
    ] = "",
    allow_unread: Annotated[
        bool, typer.Option("--allow-unread", help="Go on where config.json has settings that edgepack does not know.")
    ] = False,
    speed: Annotated[bool, typer.Option(help="Measure the speed on this machine.")] = True,
    force: Annotated[
        bool, typer.Option("--force", help="Replace what has a bundle's or a report's name and is not edgepack's.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be built and whether it fits.")
    ] = False,
    json: Json = False,
) -> None:
    """Convert, compress and measure a model for each target."""
    found = _request(model, target, recipe, out, task)
    request = replace(
        found,
        adapter=adapter or found.adapter,
        context=context,
        lengths=_lengths(lengths),
        max_size=_bytes(max_size),
        fit=fit,
        allow_loss=allow_loss,
        original=_implementation(original),
        allow_unread=allow_unread,
        measure_speed=speed,
        force=force,
    )
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
        if len(bundles) > 1:
            show.line("")
            show.table("side by side", _side_by_side(bundles))


def _implementation(original: str) -> str:
    """Raises UsageError for another than transformers."""
    if original not in ("", TRANSFORMERS):
        raise UsageError(f"there is no --original {original} of a build", hint=f"--original {TRANSFORMERS}, or none")
    return original


def _bytes(text: str | None) -> int | None:
    try:
        return parse_size(text) if text else None
    except ValueError as error:
        raise UsageError(f"--max-size: {error}") from error


def _lengths(text: str | None) -> tuple[int, ...]:
    words = text.split(",") if text else []
    if not all(word.strip().isdecimal() for word in words):
        raise UsageError(f"--lengths {text}: not numbers of tokens", hint="--lengths 128, or --lengths 32,64,128")
    return tuple(map(int, words))


def _request(
    model: str | None,
    target: list[str] | None,
    recipe: list[str] | None,
    out: Path | None,
    task: str | None,
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
        adapter=found.adapter if own else None,
        out=out or found.out,
        overrides=found.overrides,
        calibration=found.calibration if own else None,
        evaluation=found.evaluation if own else None,
    )


def _show(bundle: Bundle) -> None:
    show.line("")
    artifact = bundle.artifact
    show.line(f"{bundle.path}  {size(artifact.bytes)}  {bundle.recipe.name}  for {artifact.needs}", "bold")
    show.table("accuracy, against the original on the same inputs", accuracy_table(bundle.accuracy))
    show.table("speed on this machine", speed_table(bundle.timings))
    show.table("size", sizes_table(artifact.components))
    coverage = artifact.coverage
    if coverage.total:
        show.line(f"\n{coverage.share:.3%} of the weights compressed" + _left(bundle))
    show.line(f"report: {bundle.path}.html")


def _side_by_side(bundles: Sequence[Bundle]) -> Table:
    """One row for each bundle: its size and every metric."""
    metrics = list(dict.fromkeys(accuracy.metric for bundle in bundles for accuracy in bundle.accuracy))
    rows = []
    for bundle in bundles:
        found = {accuracy.metric: figure(accuracy.packed, accuracy.metric) for accuracy in bundle.accuracy}
        figures = [found.get(metric, "–") for metric in metrics]
        rows.append([bundle.path.name, bundle.recipe.name, size(bundle.artifact.bytes), *figures])
    return Table(["bundle", "recipe", "model", *metrics], rows, [])


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
                    "context": p.processing.get("max_length"),
                    "needs": p.need,
                    "tokens_per_second_estimate": _pace(p),
                    "fits": p.fits,
                }
                for p in plans
            ]
        )
        return
    generates = any(plan.need.read for plan in plans)
    cache, pace = (["key-value cache"], ["context", "tokens/s (an estimate)"]) if generates else ([], [])
    head = ["bundle", "recipe", "weights", *cache, "activations", "in all", "the target gives", *pace]
    show.table("estimated memory", Table(head, [_plan_row(p, generates) for p in plans], [p.fits for p in plans]))


def _plan_row(plan: pipeline.Plan, generates: bool) -> list[str]:
    need, context, pace = plan.need, plan.processing.get("max_length"), _pace(plan)
    return [
        plan.name,
        plan.recipe.name,
        size(need.weights),
        *([size(need.cache)] if generates else []),
        size(need.activations),
        size(need.total),
        size(plan.target.profile.memory),
        *([f"{context:,}", f"{pace:.1f}" if pace else "–"] if generates else []),
    ]


def _pace(plan: pipeline.Plan) -> float | None:
    """Tokens per second by the target's memory bandwidth: an estimate, never a measurement."""
    return plan.need.tokens_per_second(plan.target.profile.bandwidth) or None


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
