"""No compression: the fused float32 graph."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgepack.formats.onnx.graph import Array
from edgepack.records import Coverage, Recipe


def quantize(model: Path, out: Path, recipe: Recipe, calibration: Sequence[Mapping[str, Array]]) -> Coverage:
    """Copy ``model`` to ``out``."""
    shutil.copyfile(model, out)
    return Coverage(compressed=0, total=0)
