"""edgepack targets: where bundles can go."""

from __future__ import annotations

from edgepack import targets as known
from edgepack.cli import show
from edgepack.cli.options import Json
from edgepack.records import Target
from edgepack.reports.table import Table
from edgepack.units import size


def targets(json: Json = False) -> None:
    """List the targets, their profiles and recipes."""
    found = [known.load(f"{name}:{profile}") for name in known.names() for profile in known.load(name).profiles]
    if json:
        show.as_json(found)
        return
    head = ["target", "device", "memory for a model", "isa", "runtime", "default recipe"]
    show.table("targets", Table(head, [_row(target) for target in found]))
    for form, recipes in {target.format: target.recipes for target in found}.items():
        show.line(f"recipes of {form} targets: {', '.join(recipes)}")


def _row(target: Target) -> list[str]:
    chosen = ", ".join(f"{name} ({kind})" if kind != "*" else name for kind, name in target.default_recipes.items())
    return [
        f"{target.name}:{target.profile.name}",
        target.profile.title,
        size(target.profile.memory),
        target.profile.isa,
        f"{target.runtime} {target.runtime_version}",
        chosen,
    ]
