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
    defaults = [known.load(name) for name in known.names()]
    rows = [[target.name, target.title, _runtime(target), _recipes(target)] for target in defaults]
    show.table("targets", Table(["target", "for", "runtime", "default recipe"], rows))
    profiles = [[f"{t.name}:{t.profile.name}", t.profile.title, t.profile.isa, size(t.profile.memory)] for t in found]
    head = ["target:profile", "device", "processor", "memory for a model"]
    show.table("profiles, the first of each target by default", Table(head, profiles, figures=head[3:]))
    show.line("")
    for form, recipes in {target.format: target.recipes for target in defaults}.items():
        show.line(f"recipes for {form}: {', '.join(recipes)}")


def _runtime(target: Target) -> str:
    return f"{target.runtime} {target.runtime_version}"


def _recipes(target: Target) -> str:
    """Name the default recipe, and those of the tasks that have another."""
    kinds = {"convolutional": "convolutional models"}
    chosen = {kinds.get(kind, kind): name for kind, name in target.default_recipes.items() if kind != "*"}
    return ", ".join([target.default_recipes["*"], *(f"{name} for {kind}" for kind, name in chosen.items())])
