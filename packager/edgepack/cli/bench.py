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
            help="Minimum runs per input (default: 64): 64 give a p90, 662 a p99.",
            metavar="<n>",
            show_default=False,
            min=1,
            max=1_000_000,
        ),
    ] = 64,
    seconds: Annotated[
        float,
        typer.Option(
            help="Minimum seconds per input (default: 2).", metavar="<s>", show_default=False, min=0.0, max=86_400.0
        ),
    ] = 2.0,
    threads: Threads = None,
    device: OnDevice = None,
    prepare: Prepare = False,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Measure load time, latency and memory, here or on a device.

    The model runs in a process of its own, so that the peak memory is the model's alone.
    """
    if math.isnan(seconds):
        raise UsageError("--seconds nan is not a number of seconds", hint="give a number, 0 to 86,400")
    listed = opened(bundle, trust=trust)
    with show.Steps() as steps, on_device.runner(listed, device, threads, prepare=prepare, say=steps.step) as runner:
        timings = stage.bench(runner, runs=runs, seconds=seconds, inputs=tuple(shape or ()), say=steps.step)
    if json:
        show.as_json(timings)
    else:
        show.table(f"{listed.name} on {device or 'this machine'}", speed_table(timings))
