"""Sizes, components and coverage of what was compressed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from edgepack.records import Component, Coverage
from edgepack.reports.table import Cell, Table
from edgepack.units import size

_REST = {"other": "norms and constants"}  # what a component is called where people read it
GRAPH = "graph"  # what the files hold beside weights: the operators and their names, metadata


class Packed(Protocol):
    """A submodel as people are told of it: an Artifact of a build, or a Submodel of a bundle."""

    @property
    def components(self) -> tuple[Component, ...]:
        """Bytes by component."""

    @property
    def coverage(self) -> Coverage:
        """The share of the weights that was compressed."""

    @property
    def bytes(self) -> int:
        """The size of all its files."""

    @property
    def needs(self) -> str:
        """The demands on a device, in words."""


def components(models: Mapping[str, Packed]) -> list[Component]:
    """List the components of all submodels and what else their files hold, of several behind the submodel's name."""
    found = []
    for name, model in models.items():
        rest = model.bytes - sum(component.bytes for component in model.components)
        graph = [Component(name=GRAPH, parameters=0, bytes=rest)] if rest > 0 else []
        whose = f"{name} " if len(models) > 1 else ""
        found += [replace(one, name=f"{whose}{one.name}") for one in (*model.components, *graph)]
    return found


def stored(components: Sequence[Component]) -> Component:
    """Add up the weights, without the graphs."""
    weights = [c for c in components if c.name.rpartition(" ")[2] != GRAPH]
    return Component(name="weights", parameters=sum(c.parameters for c in weights), bytes=sum(c.bytes for c in weights))


def coverage(models: Mapping[str, Packed]) -> Coverage:
    """Add up how much of all submodels was compressed; what was left is told behind the submodel's name."""
    return Coverage(
        compressed=sum(model.coverage.compressed for model in models.values()),
        total=sum(model.coverage.total for model in models.values()),
        skipped=tuple(
            replace(skipped, tensor=_behind(name, skipped.tensor)) if len(models) > 1 else skipped
            for name, model in models.items()
            for skipped in model.coverage.skipped
        ),
    )


def _behind(submodel: str, tensor: str) -> str:
    """Put the name of its submodel in front of a weight's, where that does not begin with it."""
    return tensor if tensor.startswith(f"{submodel}.") else f"{submodel} {tensor}"


def needs(models: Mapping[str, Packed]) -> str:
    """Say what a device must have to run all submodels."""
    return "; ".join(dict.fromkeys(model.needs for model in models.values()))


def sizes_table(components: Sequence[Component]) -> Table:
    """Tabulate bytes by component, with effective bits per weight; the total is the model files' size."""
    weights, size_of_all = stored(components), sum(c.bytes for c in components)
    whole = Component(name="total", parameters=weights.parameters, bytes=size_of_all)
    head = ["component", "weights", "bytes", "share", "bits per weight"]
    rows: list[list[Cell]] = [
        [
            component_name(c),
            f"{c.parameters:,}",
            size(c.bytes),
            f"{100 * c.bytes / whole.bytes:.1f} %" if whole.bytes else None,
            _bits(weights if c is whole else c),
        ]
        for c in (*components, whole)
    ]
    return Table(head, rows, figures=head[1:])


def _bits(component: Component) -> str | None:
    counted = component.parameters and component.name.rpartition(" ")[2] not in _REST
    return f"{component.bits_per_weight:.2f}" if counted else None


def component_name(component: Component) -> str:
    """Name a component for people: what belongs to no part of the network is norms and constants."""
    whose, _, name = component.name.rpartition(" ")
    return f"{whose} {_REST.get(name, name)}".strip()


def parameters(count: int, components: Sequence[Component]) -> str:
    """Say how many parameters the checkpoint has, and how many weights the bundle holds of them."""
    held = sum(component.parameters for component in components)
    return f"{count:,}" if held == count else f"{count:,} in the checkpoint; the bundle holds {held:,}"


def compressed(coverage: Coverage) -> str:
    """Say how much of the weights that the recipe is for was compressed."""
    if not coverage.total or (not coverage.compressed and not coverage.skipped):
        return "none: the recipe keeps the weights as they are"
    if coverage.compressed == coverage.total:
        return f"all {coverage.total:,} weights that the recipe is for"
    percent = int(coverage.share * 10_000) / 100  # rounded down: 100 % is said of all alone
    return f"{percent:.2f} % of the {coverage.total:,} weights that the recipe is for"
