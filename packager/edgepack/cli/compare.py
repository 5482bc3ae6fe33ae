"""edgepack compare: bundles side by side, or their speed now beside what it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from edgepack import history as known
from edgepack.cli import show
from edgepack.cli.options import History, Json, Trust
from edgepack.documents import JsonDict
from edgepack.errors import CheckFailed, UsageError
from edgepack.records import NotMeasured, Timing
from edgepack.reports.accuracy import figure, measure
from edgepack.reports.changes import changes_table, verdict
from edgepack.reports.side_by_side import side_by_side
from edgepack.reports.sizes import components, stored
from edgepack.reports.table import DASH
from edgepack.runtime import estimate, measurements
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.opening import opened
from edgepack.units import duration, size


def compare(
    bundles: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Two or more bundles: folders or .edgepack files; with --since one or more, or none for all.",
            metavar="BUNDLE",
            show_default=False,
            readable=False,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Show what has become slower or faster since a date, or since the measurements with that label.",
            metavar="<date|label>",
            show_default=False,
        ),
    ] = None,
    history: History = None,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Show bundles side by side: sizes, accuracy and speed. With --since, how their speed has changed.

    The exit code is 1 where a median is slower by more than 5 %, and surely so: docs/measuring-speed.md.
    """
    bundles = bundles or []
    if since is not None:
        _changes([opened(bundle, trust=trust) for bundle in bundles], since, history, json=json)
        return
    if history is not None:
        raise UsageError("--history is for --since", hint="edgepack compare BUNDLE --since 2026-11-01")
    if len(bundles) < 2:
        raise UsageError("compare takes two or more bundles", hint="edgepack inspect shows one")
    found = [_facts(bundle, trust) for bundle in bundles]
    if json:
        show.as_json(found)
        return
    show.table("side by side", side_by_side([facts.pop("name") for facts in found], found))


def _changes(bundles: Sequence[Manifest], since: str, file: Path | None, *, json: bool) -> None:
    place = known.place(file)
    if place is None:
        raise UsageError("there is no edgepack.toml here, so no history", hint="--history FILE names one")
    names = {listed.name for listed in bundles}
    entries = [entry for entry in known.read(place) if not names or entry.bundle in names]
    parted = known.since(since, entries)
    found = known.changes(parted)
    if json:
        show.as_json([{**asdict(each), "slower": each.slower, "faster": each.faster} for each in found])
    elif not found:
        before, after = (
            f"{sum(e.timing.valid for e in side)} of {len(side)}" for side in (parted.before, parted.after)
        )
        show.line(f"nothing was measured both before ({before} undisturbed) and since ({after} undisturbed)")
    else:
        show.table(f"since {since}", changes_table(found))
    if any(each.slower for each in found):
        raise CheckFailed(verdict(found))


def _facts(bundle: Path, trust: bool) -> JsonDict:
    listed = opened(bundle, trust=trust)
    accuracy, timings = measurements.read(listed.folder)
    weights = stored(components(listed.models))
    return {
        "name": listed.name,
        "model": listed.table["source"]["model"],
        "target": listed.table["target"]["name"],
        "recipe": listed.table["recipe"]["name"],
        "model files": size(listed.model_bytes),
        "bits per weight": f"{weights.bits_per_weight:.2f}" if weights.parameters else DASH,
        **{measure(a): figure(a.compressed, a.metric) for a in sorted(accuracy, key=lambda a: bool(a.submodel))},
        **({"speed": str(timings)} if isinstance(timings, NotMeasured) else _speeds(timings)),
    }


def _speeds(timings: tuple[Timing, ...]) -> dict[str, str]:
    whole = estimate.whole(timings)
    return {
        **({} if whole is None else {"a result, estimated": duration(whole)}),
        **{f"p50 {t.label}": duration(t.p50) for t in timings},
        **{f"peak memory {t.label}": size(t.peak_memory) for t in timings},
    }
