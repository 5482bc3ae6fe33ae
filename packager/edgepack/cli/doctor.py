"""edgepack doctor: what is installed, and what each target still needs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgepack import __version__, cache, formats, installed, plugins, targets, tasks
from edgepack.cli import show
from edgepack.cli.options import Json
from edgepack.errors import EdgepackError, MissingExtra
from edgepack.installed import EDGEPACK, Need
from edgepack.reports.table import Table
from edgepack.runtime import engines, machine

_EXTRAS = {
    "": "run and check bundles",
    "images": "read image files",
    "data": "read Parquet data",
    "sign": "sign bundles and check signatures",
    "fleet": "spread sweeps over machines",
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


@dataclass(frozen=True)
class Broken:
    """Another package's plug-in that cannot be loaded: why, and what may help."""

    distribution: str
    unmet: list[str]
    advice: str
    needs: tuple[Need, ...] = ()

    def __str__(self) -> str:
        return self.distribution


Uses = Mapping[str, Install | Broken]  # what can be done, or a plug-in -> what it takes


def doctor(json: Json = False) -> None:
    """Show what this machine can do, and what to install for the rest."""
    uses = _uses()
    known = {name: targets.load(name).format for name in targets.names()}
    reach = {name: _reach(format) for name, format in known.items()}
    hidden = plugins.shadowed()
    if json:
        show.as_json({**_facts(uses, reach), "shadowed": hidden})
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
    names = [[f"{one.name} ({one.kind})", one.used, one.unused] for one in hidden]
    show.table(
        "plug-ins of the same name", Table(["plug-in", "is that of", "not that of"], names, [False] * len(names))
    )
    cells = [[name, *(_cell(ways.get(way)) for way in (*_MODELS, "run"))] for name, ways in reach.items()]
    head = ["target", "build encoders, vision", "build language models", "run bundles here"]
    show.table("targets", Table(head, cells, [not any(i.unmet for i in ways.values()) for ways in reach.values()]))


def _cell(way: Install | Broken | None) -> str | None:
    return None if way is None else str(way) if way.unmet else "ready"


def _uses() -> Uses:
    """Return what can be done, each with what it takes; last the plug-ins that cannot be loaded."""
    uses: dict[str, Install | Broken] = {use: Install(EDGEPACK, extra) for extra, use in _EXTRAS.items()}
    for name in plugins.names("formats"):
        uses |= _tried("formats", name, _builds)
    for name in plugins.names("tasks"):
        uses |= _tried("tasks", name, _more)
    for kind, name, error in plugins.failing():
        uses |= _broken(kind, name, error)
    return uses


def _builds(format: str) -> Uses:
    """Return each route into ``format``."""
    found, distribution = formats.find(format), plugins.distribution("formats", format)
    together = len(set(found.ROUTES.values())) == 1
    models = {route: "" if together else f"{_MODELS.get(route, route)} " for route in found.ROUTES}
    return {
        f"build {models[route]}for {found.TITLE} targets": Install(distribution, extra)
        for route, extra in found.ROUTES.items()
    }


def _more(task: str) -> Uses:
    """Return the building of models of ``task``, if that takes an extra of its own."""
    extra = tasks.options(tasks.load(task)).extra
    return {f"build {task} models": Install(plugins.distribution("tasks", task), extra)} if extra else {}


def _tried(kind: str, name: str, look: Callable[[str], Uses]) -> Uses:
    """Return what ``look`` finds, or that the plug-in ``name`` is broken: the others are told all the same."""
    try:
        return look(name)
    except Exception as error:  # whatever another package's module raises
        return _broken(kind, name, error)


def _broken(kind: str, name: str, error: Exception) -> Uses:
    distribution = plugins.distribution(kind, name)
    said = str(error) if isinstance(error, EdgepackError) else f"{type(error).__name__}: {error}"
    advice = error.hint if isinstance(error, MissingExtra) else f"pip install -U {distribution}"
    return {f"use {distribution}'s plug-in {name} ({kind})": Broken(distribution, [said], advice)}


def _reach(format: str) -> Uses:
    """Return what takes models of each route to a target of ``format``, and what runs the bundles on this machine."""

    def ways(name: str) -> Uses:
        found, distribution = formats.find(name), plugins.distribution("formats", name)
        return {route: Install(distribution, found.ROUTES[route]) for route in _MODELS if route in found.ROUTES}

    def runs(name: str) -> Uses:
        return {"run": Install(plugins.distribution("runtime.engines", name), engines.find(name).EXTRA)}

    built, run = _tried("formats", format, ways), _tried("runtime.engines", format, runs)
    if any(isinstance(way, Broken) for way in built.values()):
        built = dict.fromkeys(_MODELS, next(iter(built.values())))
    return {**built, "run": next(iter(run.values()))}


def _versions(uses: Uses) -> dict[str, str | None]:
    return {need.name: need.found for install in uses.values() for need in install.needs}


def _facts(uses: Uses, reach: Mapping[str, Uses]) -> dict[str, object]:
    return {
        "edgepack": __version__,
        "versions": _versions(uses),
        "ready": {use: not install.unmet for use, install in uses.items()},
        "lacking": {use: install.unmet for use, install in uses.items() if install.unmet},
        "targets": {name: {way: not i.unmet for way, i in ways.items()} for name, ways in reach.items()},
    }
