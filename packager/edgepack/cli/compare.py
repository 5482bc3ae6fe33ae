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
from edgepack.records import NotMeasured, Timings
from edgepack.reports.changes import changes_table, verdict
from edgepack.reports.side_by_side import Amount, Compared, figures
from edgepack.reports.sizes import components, stored
from edgepack.reports.table import DASH
from edgepack.runtime import estimate, measurements
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.opening import opened


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
    found = [opened(bundle, trust=trust) for bundle in bundles]
    if json:
        show.as_json([_facts(listed) for listed in found])
    else:
        names = [listed.name for listed in found]
        told = [name if names.count(name) == 1 else str(place) for name, place in zip(names, bundles, strict=True)]
        show.side_by_side([_compared(listed, name) for listed, name in zip(found, told, strict=True)])


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


def _facts(listed: Manifest) -> JsonDict:
    accuracy, timings = measurements.read(listed.folder)
    return {
        "name": listed.name,
        "task": listed.task,
        "model": listed.table["source"]["model"],
        "target": listed.table["target"]["name"],
        "recipe": listed.table["recipe"]["name"],
        "bytes": listed.model_bytes,
        "bits_per_weight": stored(components(listed.models)).bits_per_weight,
        "accuracy": accuracy,
        "timings": timings,
    }


def _compared(listed: Manifest, name: str) -> Compared:
    accuracy, timings = measurements.read(listed.folder)
    weights = stored(components(listed.models))
    return Compared(
        name=name,
        task=listed.task,
        texts={"recipe": listed.table["recipe"]["name"]},
        figures={
            "model files": Amount(listed.model_bytes, "bytes"),
            "bits per weight": f"{weights.bits_per_weight:.2f}" if weights.parameters else DASH,
            **figures(sorted(accuracy, key=lambda a: bool(a.submodel))),
            **_speeds(timings),
        },
        remark=f"speed {timings}" if isinstance(timings, NotMeasured) else "",
    )


def _speeds(timings: Timings) -> dict[str, Amount]:
    if isinstance(timings, NotMeasured):
        return {}
    whole = estimate.whole(timings)
    return {
        **({} if whole is None else {"a result, estimated": Amount(whole, "seconds")}),
        **{f"p50 {t.label}": Amount(t.p50, "seconds") for t in timings},
        **{
            f"peak memory {t.label}": Amount(t.peak_memory, "bytes")
            for t in timings
            if not isinstance(t.peak_memory, NotMeasured)
        },
    }
