"""A reference evaluator for Core ML packages: reads a saved ``.mlpackage`` and computes it, on any machine.

``evaluate(path, inputs)`` opens and computes; ``Package(path)`` opens once, tells what is inside, and computes often.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from edgepack.arrays import Array
from edgepack.coreml.values import Value

if TYPE_CHECKING:
    from edgepack.coreml.constants import Constant
    from edgepack.coreml.features import Shapes
    from edgepack.coreml.package import Package

__all__ = ["Constant", "Package", "Shapes", "evaluate"]
_PLACES = {"Constant": "constants", "Package": "package", "Shapes": "features"}  # imported when they are asked for


def __getattr__(name: str) -> type:
    if name in _PLACES:
        found: type = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def evaluate(
    path: str | os.PathLike[str],
    inputs: Mapping[str, Value],
    *,
    precision: str = "declared",
    function: str | None = None,
    state: dict[str, Array] | None = None,
) -> dict[str, Value]:
    """Return the outputs of the package at ``path``: see Package and its call."""
    from edgepack.coreml.package import Package

    return Package(path)(inputs, precision=precision, function=function, state=state)
