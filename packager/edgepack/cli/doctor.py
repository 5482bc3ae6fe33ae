"""edgepack doctor: what is installed, and what each target still needs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from edgepack import __version__, cache, formats, installed, plugins, targets
from edgepack.cli import show
from edgepack.cli.options import Json
from edgepack.installed import EDGEPACK, Need
from edgepack.reports.table import Table
from edgepack.runtime import engines, machine

_EXTRAS = {
    "": "run and check bundles",
    "images": "read picture files",
    "data": "read Parquet data",
    "sign": "sign bundles and check signatures",
}
_MODELS = {"export": "encoders and vision models", "builder": "language models"}  # by their route


@dataclass(frozen=True)
class Install:
    """A distribution with an extra: what it takes, and what of that is not here."""

    distribution: str
    extra: str

    @property
    def needs(self) -> tuple[Need, ...]:
        """Everything that it asks for."""
        plain = installed.needs("", self.distribution)
        return (*plain, *installed.needs(self.extra, self.distribution)) if self.extra else plain

    @property
    def unmet(self) -> list[str]:
        """The packages that are missing or of another version, each in words."""
        return list(dict.fromkeys(str(need) for need in self.needs if not need.met))

    def __str__(self) -> str:
        return f"{self.distribution}[{self.extra}]" if self.extra else self.distribution

    @property
    def advice(self) -> str:
        """The command that installs the rest."""
        return "ready" if not self.unmet else f"pip install '{self}'" if self.extra else f"pip install {self}"


def doctor(json: Json = False) -> None:
    """Show what this machine can do, and what to install for the rest."""
    uses = _uses()
    known = {name: targets.load(name).format for name in targets.names()}
    reach = {name: _reach(format) for name, format in known.items()}
    if json:
        show.as_json(_facts(uses, reach))
        return
    facts = [
        ["edgepack", __version__],
        ["python", sys.version.split()[0]],
        ["machine", f"{machine.processor()}, {machine.isa()}, {platform.system()}"],
        ["cache", str(cache.root())],
        ["packages", ", ".join(f"{name} {version}" for name, version in _versions(uses).items() if version)],
    ]
    show.table("this machine", Table(["", ""], facts))
    rows = [[use, install.advice, ", ".join(install.unmet) or None] for use, install in uses.items()]
    show.table("what works", Table(["to", "", "lacking"], rows, [not install.unmet for install in uses.values()]))
    cells = [[name, *(str(i) if i.unmet else "ready" for i in ways.values())] for name, ways in reach.items()]
    head = ["target", "build encoders, vision", "build language models", "run bundles here"]
    show.table("targets", Table(head, cells, [not any(i.unmet for i in ways.values()) for ways in reach.values()]))


def _uses() -> dict[str, Install]:
    """Return what can be done, each with what it takes."""
    uses = {use: Install(EDGEPACK, extra) for extra, use in _EXTRAS.items()}
    for name in plugins.names("formats"):
        found, distribution = formats.find(name), plugins.distribution("formats", name)
        together = len(set(found.ROUTES.values())) == 1
        for route, extra in found.ROUTES.items():
            models = "" if together else f"{_MODELS.get(route, route)} "
            uses[f"build {models}for {found.TITLE} targets"] = Install(distribution, extra)
    return uses


def _reach(format: str) -> dict[str, Install]:
    """Return what takes models of each route to a target of ``format``, and what runs the bundles on this machine."""
    found, distribution = formats.find(format), plugins.distribution("formats", format)
    ways = {route: Install(distribution, found.ROUTES[route]) for route in _MODELS if route in found.ROUTES}
    engine = engines.find(format)
    return {**ways, "run": Install(plugins.distribution("runtime.engines", format), engine.EXTRA)}


def _versions(uses: Mapping[str, Install]) -> dict[str, str | None]:
    return {need.name: need.found for install in uses.values() for need in install.needs}


def _facts(uses: Mapping[str, Install], reach: Mapping[str, Mapping[str, Install]]) -> dict[str, object]:
    return {
        "edgepack": __version__,
        "versions": _versions(uses),
        "ready": {use: not install.unmet for use, install in uses.items()},
        "lacking": {use: install.unmet for use, install in uses.items() if install.unmet},
        "targets": {name: {way: not i.unmet for way, i in ways.items()} for name, ways in reach.items()},
    }
