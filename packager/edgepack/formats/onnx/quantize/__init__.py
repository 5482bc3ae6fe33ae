"""Compress an ONNX model: one module per scheme, each with the same ``quantize``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgepack import plugins
from edgepack.records import Coverage, Recipe


def quantize(model: Path, out: Path, recipe: Recipe, calibration: Sequence[Mapping[str, np.ndarray]]) -> Coverage:
    """Write ``model`` to ``out`` as ``recipe`` says; ``calibration`` are feeds (input name -> array).

    Raises UnknownName for a scheme that does not exist.
    """
    scheme = plugins.load("formats.onnx.quantize", recipe.scheme)
    coverage: Coverage = scheme.quantize(model, out, recipe, calibration)
    return coverage
