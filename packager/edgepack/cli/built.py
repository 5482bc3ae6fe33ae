"""Show the bundles that a build made."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.cli import show
from edgepack.documents import JsonDict
from edgepack.records import Bundle, Coverage
from edgepack.reports.accuracy import accuracy_table
from edgepack.reports.side_by_side import Amount, Compared, figures
from edgepack.reports.sizes import components, compressed, coverage, needs, parameters, sizes_table
from edgepack.reports.speed import speed_table
from edgepack.reports.submodels import submodels_table
from edgepack.units import size


def show_bundles(bundles: Sequence[Bundle], json: bool) -> None:
    """Print the size, accuracy and speed of each bundle, and several side by side; or their facts as ``json``."""
    if json:
        show.as_json([_facts(bundle) for bundle in bundles])
        return
    for bundle in bundles:
        _show(bundle)
    if len(bundles) > 1:
        show.line("")
        show.side_by_side([_compared(bundle) for bundle in bundles])


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


def _compared(bundle: Bundle) -> Compared:
    return Compared(
        name=bundle.path.name,
        texts={"recipe": bundle.recipe.name},
        figures={"model files": Amount(_bytes_of(bundle), "bytes"), **figures(bundle.accuracy)},
    )


def _bytes_of(bundle: Bundle) -> int:
    return sum(artifact.bytes for artifact in bundle.artifacts.values())


def _left(covered: Coverage) -> str:
    names = [f"{skipped.tensor} ({skipped.reason})" for skipped in covered.skipped[:3]]
    return f"; left: {', '.join(names)}" if names else ""


def _facts(bundle: Bundle) -> JsonDict:
    return {
        "path": bundle.path,
        "target": bundle.target.name,
        "recipe": bundle.recipe.name,
        "bytes": _bytes_of(bundle),
        "accuracy": bundle.accuracy,
        "timings": bundle.timings,
        "components": components(bundle.artifacts),
        "coverage": coverage(bundle.artifacts),
    }
