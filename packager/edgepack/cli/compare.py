"""edgepack compare: bundles side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgepack.cli import show
from edgepack.cli.options import Json, Trust
from edgepack.documents import JsonDict
from edgepack.errors import UsageError
from edgepack.records import NotMeasured, Timing
from edgepack.reports.accuracy import figure, measure
from edgepack.reports.side_by_side import side_by_side
from edgepack.reports.sizes import components, stored
from edgepack.reports.table import DASH
from edgepack.runtime import estimate, measurements
from edgepack.runtime.opening import opened
from edgepack.units import duration, size


def compare(
    bundles: Annotated[
        list[Path],
        typer.Argument(
            help="Two or more bundles: folders or .edgepack files.",
            metavar="BUNDLE",
            show_default=False,
            readable=False,
        ),
    ],
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Show bundles side by side: sizes, accuracy and speed."""
    if len(bundles) < 2:
        raise UsageError("compare takes two or more bundles", hint="edgepack inspect shows one")
    found = [_facts(bundle, trust) for bundle in bundles]
    if json:
        show.as_json(found)
        return
    show.table("side by side", side_by_side([facts.pop("name") for facts in found], found))


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
