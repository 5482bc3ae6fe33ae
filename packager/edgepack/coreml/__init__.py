"""A reference evaluator for Core ML packages: reads a saved ``.mlpackage`` and computes it, on any machine.

``evaluate(path, inputs)`` opens and computes; ``Package(path)`` opens once, tells what is inside, and computes often.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from edgepack.arrays import Array
from edgepack.coreml.constants import Constant
from edgepack.coreml.features import Shapes
from edgepack.coreml.package import Package
from edgepack.coreml.values import Value

__all__ = ["Constant", "Package", "Shapes", "evaluate"]


def evaluate(
    path: str | os.PathLike[str],
    inputs: Mapping[str, Value],
    *,
    precision: str = "declared",
    function: str | None = None,
    state: dict[str, Array] | None = None,
) -> dict[str, Value]:
    """Return the outputs of the package at ``path``: see Package and its call."""
    return Package(path)(inputs, precision=precision, function=function, state=state)
