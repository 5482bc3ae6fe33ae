"""Formats of model files, and the routes by which a model comes into one.

``export`` traces a model in PyTorch and compresses what was traced; ``builder`` writes a described language model's
graph itself and streams the weights into it. A format is a module of this package or a third party's entry point
``edgepack.formats``; a task names its route.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

from edgepack import installed, plugins
from edgepack.arrays import Feeds, Runs
from edgepack.errors import UnsupportedModel
from edgepack.original import Original
from edgepack.plans import Plan
from edgepack.records import Artifact, Recipe, Target
from edgepack.runtime.processing import Processing
from edgepack.tasks import AnyTask, options

SEARCHED = "mixed"  # the scheme of a recipe whose bits are searched for a size


class Prepared(Protocol):
    """A model in a format, ready to be compressed once per recipe."""

    def compress(self, out: Path, recipe: Recipe, calibration: Sequence[Feeds]) -> Artifact:
        """Write the compressed model to ``out``. Raises ConversionError, DoesNotFit, UsageError."""


class Route(Protocol):
    """A way from the original to model files of one format."""

    @property
    def TOOLS(self) -> tuple[str, ...]:
        """The distributions whose versions decide what the route gives."""

    def check(self, plan: Plan) -> None:
        """Raises UnsupportedModel for a model that a file of the format cannot compute, so far as config.json tells."""

    def unsupported(self, recipe: Recipe) -> str:
        """Say in a clause what ``recipe`` asks for that the route cannot give; "" where it can give all of it."""

    def prepare(self, original: Original, plan: Plan, calibration: Sequence[Feeds]) -> Prepared:
        """Return the model uncompressed: an exported graph from the cache, or a description and its weights."""

    def open(self, path: Path, threads: int) -> Runs:
        """Open the model at ``path`` to compare it with the original, in little memory where it may be large."""


class SearchingRoute(Route, Protocol):
    """A route with the scheme SEARCHED: what each weight becomes is searched for a size of the whole model."""

    def within(self, prepared: Mapping[str, Any], budget: int, processing: Processing) -> Mapping[str, Prepared]:
        """Return ``prepared`` by name such that the models have ``budget`` bytes together once they are compressed.

        They are a model's with that ``processing``, and of the route's own class, hence Any. Raises DoesNotFit.
        """


class Format(Protocol):
    """The contract of this package's modules."""

    @property
    def TITLE(self) -> str:
        """The format's name for people, for example Core ML."""

    @property
    def ROUTES(self) -> Mapping[str, str]:
        """The routes that lead into it, each with the extra of its distribution that brings what it imports.

        "" is an install without extras.
        """

    @property
    def SUFFIX(self) -> str:
        """The ending of a model's file name."""

    @property
    def LENGTHS(self) -> bool:
        """True if a model can be made for some numbers of tokens alone."""

    def route(self, name: str) -> Route:
        """Find one of ROUTES. Raises MissingExtra."""

    def needs(self, artifact: Artifact, target: Target) -> str:
        """Say what a device must have to run ``artifact``."""


def find(name: str) -> Format:
    """Find the format ``name``. Raises UnknownName, MissingExtra, UsageError for a module that is none."""
    module = plugins.load("formats", name)
    plugins.check("formats", name, module, Format)
    return cast(Format, module)


def route(target: Target, task: AnyTask) -> Route:
    """Find the route of ``task``'s models to ``target``. Raises UnknownName, UnsupportedModel, MissingExtra."""
    found = find(target.format)
    _check_route(found, target, task)
    return found.route(task.ROUTE)


def check_shared(target: Target) -> None:
    """Raises MissingExtra for a package that every route to ``target`` takes, and that is not here as they take it.

    This can be told before the model is found, and with it the route; the extra that it names brings every route.
    """
    extras = sorted(set(find(target.format).ROUTES.values()))
    installed.check_shared(extras, plugins.distribution("formats", target.format))


def check_installed(target: Target, task: AnyTask) -> None:
    """Raises MissingExtra where what takes ``task``'s models to ``target`` is not installed; imports nothing of it.

    Raises UnsupportedModel where nothing takes them there.
    """
    found = find(target.format)
    _check_route(found, target, task)
    asked = (
        (found.ROUTES[task.ROUTE], plugins.distribution("formats", target.format)),
        (options(task).extra, plugins.distribution("tasks", task.NAME)),
    )
    installed.check_all(partial(installed.check, *one) for one in asked)


def _check_route(found: Format, target: Target, task: AnyTask) -> None:
    if task.ROUTE not in found.ROUTES:
        raise UnsupportedModel(
            f"{target.name} takes {found.TITLE} files, which have the routes {' and '.join(found.ROUTES)}; models of "
            f"{task.NAME} take the route {task.ROUTE}",
            hint=f"choose a target whose format has the route {task.ROUTE}",
        )


def tools(target: Target, task: AnyTask) -> dict[str, str]:
    """Return the versions that decide what the conversion gives."""
    return plugins.versions((*route(target, task).TOOLS, *options(task).tools))
