"""edgepack build: convert a model into measured bundles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from edgepack import pipeline, project
from edgepack import targets as known_targets
from edgepack.cli import show
from edgepack.cli.options import Json, output_path
from edgepack.documents import JsonDict
from edgepack.errors import UsageError
from edgepack.original import TRANSFORMERS
from edgepack.records import Bundle, Coverage
from edgepack.reports.results import (
    accuracy_table,
    components,
    compressed,
    coverage,
    figure,
    measure,
    needs,
    parameters,
    side_by_side,
    sizes_table,
    speed_table,
)
from edgepack.reports.submodels import submodels_table
from edgepack.reports.table import Table
from edgepack.units import parse_size, size

_STEPS = 4  # that a bundle takes, for the progress bar


def build(
    model: Annotated[
        str | None,
        typer.Argument(
            help="Hub id, folder or python:package/folder (default: the model of edgepack.toml).", show_default=False
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            "-t",
            help="Target, or target:profile, e.g. rpi:pi4. Repeatable.",
            metavar="<target>",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            "--recipe",
            "-r",
            help="Recipe, e.g. int4 (default: the target's). Repeatable.",
            metavar="<recipe>",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the bundles (default: dist).",
            parser=output_path,
            metavar="<path>",
            show_default=False,
        ),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Task, where the model's files do not say.", metavar="<task>", show_default=False)
    ] = None,
    adapter: Annotated[
        str | None,
        typer.Option(
            help="LoRA adapter to merge: PEFT folder or hub id, FILE[:scale] of a pipeline.",
            metavar="<adapter>",
            show_default=False,
        ),
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(
            help="Maximum tokens per text (default: the model's; at most 4096 for language models).",
            metavar="<n>",
            show_default=False,
            min=1,
        ),
    ] = None,
    lengths: Annotated[
        str | None,
        typer.Option(
            help="Fixed sequence lengths of a Core ML model, e.g. 128 or 32,64,128 (default: any length).",
            metavar="<n,n>",
            show_default=False,
        ),
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option(
            help="Largest model size, e.g. 25MB (Core ML). Chooses a precision per weight.",
            metavar="<size>",
            show_default=False,
        ),
    ] = None,
    fit: Annotated[
        bool,
        typer.Option(
            "--fit", help="Choose the most precise recipe and the longest context that fit the target's memory."
        ),
    ] = False,
    allow_loss: Annotated[
        bool, typer.Option("--allow-loss", help="Keep a bundle that falls below an accuracy floor.")
    ] = False,
    original: Annotated[
        str,
        typer.Option(
            help="transformers: compare a language model with transformers itself (it has to fit in memory).",
            metavar="<library>",
            show_default=False,
        ),
    ] = "",
    allow_unread: Annotated[
        bool, typer.Option("--allow-unread", help="Build even if config.json has settings that edgepack does not know.")
    ] = False,
    speed: Annotated[bool, typer.Option(help="Measure speed on this machine.")] = True,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite files and folders that edgepack did not write.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be built and whether it fits.")] = False,
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
        raise UsageError(
            f"--original {original}: a build takes only {TRANSFORMERS}", hint=f"--original {TRANSFORMERS}, or none"
        )
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
    """Return what the command line says, and edgepack.toml for the rest."""
    file = Path(project.FILE)
    found = project.read(file) if file.is_file() else project.Project()
    own = model is None
    if model is None and found.model is None:
        raise UsageError(
            "no model given", hint="edgepack build MODEL --target rpi, or edgepack init for a project file"
        )
    targets = tuple(target or (found.targets if found.targets else ()))
    if not targets:
        raise UsageError("no target given", hint=f"--target {' | '.join(known_targets.names())}")
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
    models = bundle.artifacts
    parts, covered = components(models), coverage(models)
    show.line(f"{bundle.path}  {size(_bytes_of(bundle))}  {bundle.recipe.name}  for {needs(models)}", "bold")
    show.table("accuracy, against the original on the same inputs", accuracy_table(bundle.accuracy))
    show.table("accuracy of the submodels", submodels_table(bundle.accuracy))
    show.table("speed on this machine", speed_table(bundle.timings))
    show.table("size", sizes_table(parts))
    show.line(f"parameters: {parameters(bundle.source.parameters, parts)}")
    show.line(f"compressed: {compressed(covered)}{_left(covered)}")
    show.line(f"report: {bundle.path}.html")


def _side_by_side(bundles: Sequence[Bundle]) -> Table:
    """Tabulate each bundle's recipe, size and metrics."""
    facts = [
        {
            "recipe": bundle.recipe.name,
            "model file": size(_bytes_of(bundle)),
            **{measure(a): figure(a.compressed, a.metric) for a in bundle.accuracy},
        }
        for bundle in bundles
    ]
    return side_by_side([bundle.path.name for bundle in bundles], facts)


def _bytes_of(bundle: Bundle) -> int:
    return sum(artifact.bytes for artifact in bundle.artifacts.values())


def _left(covered: Coverage) -> str:
    names = [f"{skipped.tensor} ({skipped.reason})" for skipped in covered.skipped[:3]]
    return f"; left: {', '.join(names)}" if names else ""


def _show_plans(plans: list[pipeline.Plan], json: bool) -> None:
    if json:
        show.as_json(
            [
                {
                    "bundle": p.name,
                    "target": p.target.name,
                    "recipe": p.recipe.name,
                    "context": p.processing.max_length,
                    "needs": p.need,
                    "tokens_per_second_estimate": _pace(p),
                    "fits": p.fits,
                }
                for p in plans
            ]
        )
        return
    head = [
        "bundle", "recipe", "weights", "key-value cache", "activations", "runtime", "total", "available", "context",
        "tokens/s (estimate)",
    ]  # fmt: skip
    rows = [_plan_row(plan) for plan in plans]
    show.table("estimated memory", Table(head, rows, [plan.fits for plan in plans], figures=head[2:]))


def _plan_row(plan: pipeline.Plan) -> list[str | None]:
    need, pace, context = plan.need, _pace(plan), plan.processing.max_length
    return [
        plan.name,
        plan.recipe.name,
        size(need.weights),
        size(need.cache) if need.cache else None,
        size(need.activations),
        size(need.runtime),
        size(need.total),
        size(plan.target.profile.memory),
        f"{context:,}" if need.cache and context is not None else None,
        f"{pace:.1f}" if pace else None,
    ]


def _pace(plan: pipeline.Plan) -> float | None:
    """Return tokens per second by the target's memory bandwidth: an estimate, never a measurement."""
    return plan.need.tokens_per_second(plan.target.profile.bandwidth) or None


def _facts(bundle: Bundle) -> JsonDict:
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
