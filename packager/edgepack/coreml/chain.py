"""Packages in a row: what a model is split into where one file may not hold all of its weights.

They lie in a folder as 1-of-3.mlpackage, 2-of-3.mlpackage and so on, each with states of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgepack.arrays import Array
from edgepack.coreml.folder import PACKAGE, PACKAGES
from edgepack.coreml.package import Package
from edgepack.coreml.text import HIDDEN, NEXT
from edgepack.coreml.values import Value
from edgepack.errors import PackageError
from edgepack.records import TensorSpec

PART = "edgepack.part"  # user-defined metadata: which of them it is


class Chain:
    """The packages in the folder ``path``: what one gives as its residual is what the next takes.

    ``threads`` and ``held`` as Package has them, ``held`` for all together. Raises as Package does, and PackageError
    where the folder has none.
    """

    def __init__(self, path: Path, *, threads: int | None = None, held: int | None = None) -> None:
        first = next(iter(sorted(path.glob(f"1-of-*{PACKAGE}"))), None)
        if first is None:
            raise PackageError(f"{path} holds no Core ML packages", hint="copy or build them again")
        count = int(first.stem.split("-")[-1])
        share = held // count if held else held
        names = [f"{place}-of-{count}{PACKAGE}" for place in range(1, count + 1)]
        self.parts = tuple(Package(path / name, threads=threads, held=share) for name in names)

    @property
    def functions(self) -> tuple[str, ...]:
        """Their names, the default first; all parts have the same."""
        return self.parts[0].functions

    @property
    def metadata(self) -> Mapping[str, Value]:
        """The first part's."""
        return self.parts[0].metadata

    def inputs(self, function: str | None = None) -> tuple[TensorSpec, ...]:
        """Return what the parts take from outside."""
        specs = {spec.name: spec for part in self.parts for spec in part.inputs(function)}
        return tuple(spec for name, spec in specs.items() if name != HIDDEN)

    def outputs(self, function: str | None = None) -> tuple[TensorSpec, ...]:
        """Return the last part's."""
        return self.parts[-1].outputs(function)

    def state(self, function: str | None = None) -> tuple[dict[str, Array], ...]:
        """Return a fresh state of each part: hand them to each call, which changes them."""
        return tuple(part.state(function) for part in self.parts)

    def __call__(
        self, inputs: Mapping[str, Value], *, function: str | None = None, state: tuple[dict[str, Array], ...]
    ) -> dict[str, Value]:
        """Return the last part's outputs for ``inputs``; ``state`` is changed. Raises as Package's call does."""
        given = dict(inputs)
        made: dict[str, Value] = {}
        for part, own in zip(self.parts, state, strict=True):
            taken = {spec.name for spec in part.inputs(function)}
            made = part({name: given[name] for name in given if name in taken}, function=function, state=own)
            given[HIDDEN] = made.get(NEXT)
        return made


def opened(path: Path, *, threads: int | None = None, held: int | None = None) -> Package | Chain:
    """Return the package at ``path``, or the packages in that folder."""
    if path.suffix == PACKAGES:
        return Chain(path, threads=threads, held=held)
    return Package(path, threads=threads, held=held)
