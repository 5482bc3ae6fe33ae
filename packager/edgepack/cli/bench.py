"""edgepack bench: the speed of a bundle on this machine or a device."""

from __future__ import annotations

import subprocess
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from edgepack import history as known
from edgepack import outfolder, reports
from edgepack.cli import on_device, outpage, show
from edgepack.cli.options import (
    Bundle,
    History,
    Json,
    OnDevice,
    Prepare,
    Repeat,
    Runs,
    Seconds,
    Threads,
    Trust,
    check_seconds,
    output_path,
)
from edgepack.documents import JsonDict
from edgepack.errors import EdgepackError, UsageError
from edgepack.records import Timings
from edgepack.reports import MARK, devices
from edgepack.reports.speed import speed_table
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.opening import opened
from edgepack.runtime.quiet import FULL_RUNS, FULL_SECONDS, Rules
from edgepack.runtime.runner import Runner
from edgepack.stages import bench as stage
from edgepack.units import size


def bench(
    bundle: Bundle,
    shape: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            help="Input shape: batch x tokens, e.g. 1x64; for language models 'prefill 64', 'decode 64'; for models "
            "that make images the image's width x height, e.g. 512x512; for waveforms '5 s of sound'. Repeatable.",
            metavar="<shape>",
            show_default=False,
        ),
    ] = None,
    runs: Runs = FULL_RUNS,
    seconds: Seconds = FULL_SECONDS,
    repeat: Repeat = 2,
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
    every: Annotated[
        Path | None,
        typer.Option(
            "--all",
            help="A devices.toml, on all devices of which the bundle is measured, one after another.",
            metavar="<path>",
            show_default=False,
        ),
    ] = None,
    prepare: Prepare = False,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Write an HTML page with plots over devices, and over time where there is a history.",
            metavar="<path>",
            show_default=False,
            parser=output_path,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that --html finds there.")] = False,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Measure load time, latency and memory, here or on a device.

    The model runs in three processes, one after another, so that the peak memory is the model's alone and what
    differs from process to process shows. Measurements that something disturbed are marked: docs/measuring-speed.md.
    """
    check_seconds("--seconds", seconds)
    check_seconds("--patience", patience)
    rules = Rules(runs=runs, seconds=seconds, repeat=repeat, patience=patience)
    if device is not None and every is not None:
        raise UsageError("--device and --all are both given", hint="--all measures on every device of its file")
    listed, file = opened(bundle, trust=trust), known.place(history)
    outpage.check(html, listed, force=force)
    if file is not None:
        known.check(file)
    named = label if label is not None else _commit() if file is not None else ""
    inputs, addresses = tuple(shape or ()), [device] if every is None else on_device.names(every)
    benched = list[tuple[str, Timings | EdgepackError]]()
    with show.Steps() as steps:
        for address in addresses:
            given = on_device.runner(listed, address, threads, prepare=prepare, say=steps.step, file=every)
            found = _measured(given, rules, inputs, steps, alone=every is None)
            benched.append((address or "local", found))
            if file is not None and not isinstance(found, EdgepackError):
                at = datetime.now(UTC)
                known.add(file, known.entries(listed, found, device=address or "local", label=named, at=at))
    if html is not None:
        outfolder.write(html, _page(listed, benched, file), mark=MARK, force=force)
    _show(listed, benched, alone=every is None, json=json)
    if html is not None and not json:
        show.line(f"wrote {html}")
    for _, found in benched:
        if isinstance(found, EdgepackError):
            raise found


def _measured(
    given: AbstractContextManager[Runner], rules: Rules, inputs: tuple[str, ...], steps: show.Steps, *, alone: bool
) -> Timings | EdgepackError:
    """Return the timings on a device, or why it failed. Raises that where it is ``alone``."""
    try:
        with given as runner:
            return stage.bench(runner, rules, inputs=inputs, say=steps.step)
    except EdgepackError as error:
        if alone:
            raise
        return error


def _page(listed: Manifest, benched: devices.Benched, file: Path | None) -> str:
    facts = {
        "model": listed.table["source"]["model"],
        "target": listed.table["target"]["name"],
        "recipe": listed.table["recipe"]["name"],
        "model files": size(listed.model_bytes),
    }
    past = [] if file is None else [entry for entry in known.read(file) if entry.bundle == listed.name]
    return reports.of_speed(listed.name, benched, past, facts)


def _show(listed: Manifest, benched: devices.Benched, *, alone: bool, json: bool) -> None:
    """Print the figures: of one place, or a table of all devices."""
    if alone:
        ((device, found),) = benched
        assert not isinstance(found, EdgepackError)
        if json:
            show.as_json(found)
        else:
            place = "this machine" if device == "local" else device
            show.table(f"{listed.name} on {place}", speed_table(found))
    elif json:
        show.as_json([{"device": device, **_told(found)} for device, found in benched])
    else:
        show.table(listed.name, devices.speed_table(benched))


def _told(found: Timings | EdgepackError) -> JsonDict:
    if isinstance(found, EdgepackError):
        return {"error": str(found), "hint": found.hint, "exit_code": found.exit_code}
    return {"timings": found}


def _commit() -> str:
    """Return the commit that the working folder is at; "" outside a Git repository."""
    try:
        asked = ["git", "rev-parse", "--short=12", "HEAD"]
        return subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
