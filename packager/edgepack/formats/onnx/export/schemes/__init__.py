"""Ways to compress an exported graph, one module each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

from edgepack import plugins
from edgepack.arrays import Feeds
from edgepack.records import Coverage, Recipe


class Scheme(Protocol):
    """The contract of this package's modules."""

    def quantize(self, model: Path, out: Path, recipe: Recipe, calibration: Sequence[Feeds]) -> Coverage:
        """Write the compressed ``model`` and its weights to the one file ``out``. Raises DataError, ConversionError."""


def names() -> list[str]:
    """Return the schemes that there are."""
    return plugins.names("formats.onnx.export.schemes")


def find(name: str) -> Scheme:
    """Find the scheme ``name``. Raises UnknownName, MissingExtra."""
    return cast(Scheme, plugins.load("formats.onnx.export.schemes", name))
