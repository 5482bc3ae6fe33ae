"""edgepack bench: the speed of a bundle on this machine or a device."""

from __future__ import annotations

import math
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from edgepack import history as known
from edgepack.cli import on_device, show
from edgepack.cli.options import Bundle, History, Json, OnDevice, Prepare, Threads, Trust
from edgepack.errors import UsageError
from edgepack.records import Timings
from edgepack.reports.speed import speed_table
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.opening import opened
from edgepack.runtime.quiet import FULL_RUNS, FULL_SECONDS, Rules
from edgepack.stages import bench as stage


def bench(
    bundle: Bundle,
    shape: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            help="Input shape: batch x tokens, e.g. 1x64; for language models 'prefill 64', 'decode 64'; for models "
            "that make images the image's width x height, e.g. 512x512. Repeatable.",
            metavar="<shape>",
            show_default=False,
        ),
    ] = None,
    runs: Annotated[
        int,
        typer.Option(
            help="Minimum runs per input (default: 100): 64 give a p90, 662 a p99.",
            metavar="<n>",
            show_default=False,
            min=1,
            max=1_000_000,
        ),
    ] = FULL_RUNS,
    seconds: Annotated[
        float,
        typer.Option(
            help="Minimum seconds per input (default: 10).", metavar="<s>", show_default=False, min=0.0, max=86_400.0
        ),
    ] = FULL_SECONDS,
    repeat: Annotated[
        int,
        typer.Option(
            help="How often an input is measured again, at most, when something disturbed it (default: 2).",
            metavar="<n>",
            show_default=False,
            min=0,
            max=100,
        ),
    ] = 2,
    patience: Annotated[
        float,
        typer.Option(
            help="Seconds after the first measurement in which another may begin (default: 120).",
            metavar="<s>",
            show_default=False,
            min=0.0,
            max=86_400.0,
        ),
    ] = 120.0,
    history: History = None,
    label: Annotated[
        str | None,
        typer.Option(
            help="Name for the state that is measured in the history (default: the commit, in a Git repository).",
            metavar="<text>",
            show_default=False,
        ),
    ] = None,
    threads: Threads = None,
    device: OnDevice = None,
    prepare: Prepare = False,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Measure load time, latency and memory, here or on a device.

    The model runs in three processes, one after another, so that the peak memory is the model's alone and what
    differs from process to process shows. What disturbed a measurement is told: docs/measuring-speed.md.
    """
    for name, value in (("--seconds", seconds), ("--patience", patience)):
        if math.isnan(value):
            raise UsageError(f"{name} nan is not a number of seconds", hint="give a number, 0 to 86,400")
    rules = Rules(runs=runs, seconds=seconds, repeat=repeat, patience=patience)
    listed, file = opened(bundle, trust=trust), known.place(history)
    if file is not None:
        known.check(file)
    with show.Steps() as steps, on_device.runner(listed, device, threads, prepare=prepare, say=steps.step) as runner:
        timings = stage.bench(runner, rules, inputs=tuple(shape or ()), say=steps.step)
    if file is not None:
        _keep(file, listed, timings, device, label)
    if json:
        show.as_json(timings)
    else:
        show.table(f"{listed.name} on {device or 'this machine'}", speed_table(timings))


def _keep(file: Path, listed: Manifest, timings: Timings, device: str | None, label: str | None) -> None:
    """Add what was measured to a history."""
    named = _commit() if label is None else label
    known.add(file, known.entries(listed, timings, device=device or "local", label=named, at=datetime.now(UTC)))


def _commit() -> str:
    """Return the commit that the working folder is at; "" outside a Git repository."""
    try:
        asked = ["git", "rev-parse", "--short=12", "HEAD"]
        return subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
