"""edgepack bench: the speed of a bundle on this machine or a device."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from edgepack.cli import on_device, show
from edgepack.cli.options import Bundle, Json, OnDevice, Prepare, Threads, Trust
from edgepack.errors import UsageError
from edgepack.reports.speed import speed_table
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
    listed = opened(bundle, trust=trust)
    with show.Steps() as steps, on_device.runner(listed, device, threads, prepare=prepare, say=steps.step) as runner:
        timings = stage.bench(runner, rules, inputs=tuple(shape or ()), say=steps.step)
    if json:
        show.as_json(timings)
    else:
        show.table(f"{listed.name} on {device or 'this machine'}", speed_table(timings))
