"""No compression: the fused float32 graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgepack.arrays import Array
from edgepack.formats.onnx._graph import Graph
from edgepack.records import Coverage, Recipe


def quantize(model: Path, out: Path, recipe: Recipe, calibration: Sequence[Mapping[str, Array]]) -> Coverage:
    """Write ``model`` and its weights to the one file ``out``."""
    Graph(model).save(out)
    return Coverage(compressed=0, total=0)
