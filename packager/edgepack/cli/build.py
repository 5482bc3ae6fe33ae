"""edgepack build: convert a model into measured bundles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from edgepack import pipeline
from edgepack.cli import built, plans, requested, show
from edgepack.cli.options import Json, output_path, size_of
from edgepack.errors import UsageError
from edgepack.original import TRANSFORMERS

_STEPS = 4  # that a bundle takes, for the progress bar


def build(
    model: requested.Model = None,
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
    task: requested.TaskName = None,
    adapter: Annotated[
        list[str] | None,
        typer.Option(
            help="LoRA adapter to merge: PEFT folder or hub id, FILE[:scale] of a pipeline (repeatable).",
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
        int | None,
        typer.Option(
            help="Largest model size, e.g. 25MB (Core ML). Chooses a precision per weight.",
            parser=size_of("--max-size"),
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
    speed: Annotated[
        bool, typer.Option(help="Measure speed on this machine (default: yes).", show_default=False)
    ] = True,
    force: requested.Force = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be built and whether it fits.")] = False,
    json: Json = False,
) -> None:
    """Convert, compress and measure a model for each target."""
    found = requested.request(model, target, recipe, out, task)
    request = replace(
        found,
        adapters=tuple(adapter or found.adapters),
        context=context,
        lengths=_lengths(lengths),
        max_size=max_size,
        fit=fit,
        allow_loss=allow_loss,
        original=_implementation(original),
        allow_unread=allow_unread,
        measure_speed=speed,
        force=force,
    )
    if dry_run:
        plans.show_plans(pipeline.plan(request), json)
        return
    with show.Steps(total=2 + _STEPS * len(request.targets) * max(len(request.recipes), 1)) as steps:
        bundles = pipeline.build(request, steps)
    built.show_bundles(bundles, json)


def _implementation(original: str) -> str:
    """Raises UsageError for another than transformers."""
    if original not in ("", TRANSFORMERS):
        raise UsageError(
            f"--original {original}: a build takes only {TRANSFORMERS}", hint=f"--original {TRANSFORMERS}, or none"
        )
    return original


def _lengths(text: str | None) -> tuple[int, ...]:
    words = text.split(",") if text else []
    if not all(word.strip().isdecimal() for word in words):
        raise UsageError(f"--lengths {text}: not numbers of tokens", hint="--lengths 128, or --lengths 32,64,128")
    return tuple(map(int, words))
