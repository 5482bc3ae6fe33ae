"""All about a file format in one place: what is listed here, and how models are made in it and opened.

SUFFIX, LENGTHS, ``prepare``, ``opened``, ``lacking``, ``check``, ``needs``, ``tools``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from edgepack.records import Artifact, Recipe


class Prepared(Protocol):
    """A model in a format, ready to be compressed once per recipe."""

    def compress(self, out: Path, recipe: Recipe, calibration: Sequence[Mapping[str, np.ndarray]]) -> Artifact:
        """The model at ``out``, and what came of it."""
