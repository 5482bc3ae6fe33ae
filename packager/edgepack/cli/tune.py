"""edgepack tune: choose a recipe by measuring it on the device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from edgepack import outfolder, pipeline, targets, tuning
from edgepack.cli import on_device, requested, show
from edgepack.cli.options import (
    Json,
    OnDevice,
    Prepare,
    Repeat,
    Runs,
    Seconds,
    Threads,
    check_seconds,
    output_path,
)
from edgepack.errors import CheckFailed, UsageError
from edgepack.reports import MARK
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.quiet import FULL_RUNS, FULL_SECONDS, Rules
from edgepack.runtime.runner import Runner
from edgepack.tuning import report
from edgepack.units import parse_duration


def tune(
    model: requested.Model = None,
    target: Annotated[
        str | None,
        typer.Option("--target", "-t", help="Target, or target:profile.", metavar="<target>", show_default=False),
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            "--recipe",
            "-r",
            help="Recipe to try (default: all of the target's that suit the model). Repeatable.",
            metavar="<recipe>",
            show_default=False,
        ),
    ] = None,
    device: OnDevice = None,
    within: Annotated[
        str | None,
        typer.Option(
            help="Time limit, e.g. 12ms: choose the finest recipe within it (default: the fastest recipe).",
            metavar="<time>",
            show_default=False,
        ),
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option("--input", help="Input shape, as bench takes it.", metavar="<shape>", show_default=False),
    ] = None,
    runs: Runs = FULL_RUNS,
    seconds: Seconds = FULL_SECONDS,
    repeat: Repeat = 2,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the bundles and the page (default: dist).",
            parser=output_path,
            metavar="<path>",
            show_default=False,
        ),
    ] = None,
    task: requested.TaskName = None,
    threads: Threads = None,
    prepare: Prepare = False,
    force: requested.Force = False,
    json: Json = False,
) -> None:
    """Choose a recipe by measuring several on a device.

    Each is built and measured there. Of those that keep the target's floors there, the fastest is chosen, or with
    --within the finest that is fast enough; which one that is differs by processor.
    """
    request = replace(requested.request(model, [target] if target else None, recipe, out, task), force=force)
    if len(request.targets) > 1:
        raise UsageError(
            f"recipes are chosen for one target, not for {', '.join(request.targets)}", hint="--target names it"
        )
    longest = _seconds(within)
    check_seconds("--seconds", seconds)
    on_device.check(device, prepare=prepare)
    known = targets.load(request.targets[0])
    rules = Rules(runs=runs, seconds=seconds, repeat=repeat)

    with show.Steps() as steps:

        @contextmanager
        def reach(listed: Manifest) -> Iterator[Runner]:
            with on_device.runner(listed, device, threads, prepare=prepare, say=steps.step) as runner:
                yield runner

        steps.step(f"finding {request.model}")
        tried = request.recipes or tuning.possible(request, known)
        name = pipeline.plan(replace(request, recipes=tried))[0].source.name
        page = request.out / f"{name}-{known.name}-tune.html"
        outfolder.check_file(page, mark=MARK, force=force)
        found = tuning.tune(request, tried, reach, rules, steps, inputs=tuple(shape or ()))
    try:
        choice, failure = tuning.chosen(found, longest), None
    except CheckFailed as error:
        choice, failure = None, error
    front, best = tuning.front(found), choice.recipe if choice else ""
    table = report.table(found, front, best)
    where = device or "this machine"
    verdict = (f"{best} is chosen", True) if choice else (str(failure), False)
    facts = {"model": request.model, "target": known.name, "device": where}
    title = f"{name} for {known.name} on {where}"
    page.parent.mkdir(parents=True, exist_ok=True)
    outfolder.write(page, report.page(title, verdict, facts, found, table), mark=MARK, force=force)
    if json:
        show.as_json(report.of(found, front, best))
    else:
        show.table(title, table)
        if choice:
            rule = "the fastest" if longest is None else f"the finest that takes at most {within}"
            show.line(f'{best}: {rule} of those that keep the floors; in edgepack.toml: recipes = ["{best}"]')
        show.line(f"report: {page}")
    if failure is not None:
        raise failure


def _seconds(text: str | None) -> float | None:
    try:
        found = None if text is None else parse_duration(text)
        if found == 0:
            raise ValueError(f"{text!r} leaves no time")
        return found
    except ValueError as error:
        raise UsageError(f"--within: {error}") from error
