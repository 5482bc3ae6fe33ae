"""Packages in a row: what a model is split into where one file may not hold all of its weights.

They lie in a folder as 1-of-3.mlpackage, 2-of-3.mlpackage and so on, each with states of its own, or as Apple's
StableDiffusion calls the parts of its UNet: UnetChunk1.mlpackage and UnetChunk2.mlpackage.
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

_CHUNKS = ("Chunk1", "Chunk2")
_FIRST = (f"1-of-*{PACKAGE}", f"*{_CHUNKS[0]}{PACKAGE}")
PART = "edgepack.part"  # user-defined metadata: which of them it is


class Chain:
    """The packages in the folder ``path``: what one gives, the next take by its name, or as their residual.

    ``threads`` and ``held`` as Package has them, ``held`` for all together. Raises as Package does, and PackageError
    where the folder has none.
    """

    def __init__(self, path: Path, *, threads: int | None = None, held: int | None = None) -> None:
        found = _parts(path)
        share = held // len(found) if held else held
        self.parts = tuple(Package(part, threads=threads, held=share) for part in found)

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
        inside = {HIDDEN, *(spec.name for part in self.parts for spec in part.outputs(function))}
        return tuple(spec for name, spec in specs.items() if name not in inside)

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
            given |= {**made, HIDDEN: made.get(NEXT)}
        return made


def _parts(path: Path) -> list[Path]:
    """Return the packages in the folder ``path`` in their order. Raises PackageError."""
    first = next((file for form in _FIRST for file in sorted(path.glob(form))), None)
    if first is None:
        raise PackageError(f"{path} holds no Core ML packages", hint="copy or build them again")
    if first.stem.endswith(_CHUNKS[0]):
        return [path / f"{first.stem.removesuffix(_CHUNKS[0])}{chunk}{PACKAGE}" for chunk in _CHUNKS]
    count = int(first.stem.split("-")[-1])
    return [path / f"{place}-of-{count}{PACKAGE}" for place in range(1, count + 1)]


def chunks(folder: Path) -> tuple[Path, Path]:
    """Return where the two chunks of Apple's names lie in ``folder``, which is called as the whole is."""
    first, second = (folder / f"{folder.stem}{chunk}{PACKAGE}" for chunk in _CHUNKS)
    return first, second


def opened(path: Path, *, threads: int | None = None, held: int | None = None) -> Package | Chain:
    """Return the package at ``path``, or the packages in that folder."""
    if path.suffix == PACKAGES:
        return Chain(path, threads=threads, held=held)
    return Package(path, threads=threads, held=held)
