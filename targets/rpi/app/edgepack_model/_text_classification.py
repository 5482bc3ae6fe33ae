"""Texts, or pairs of texts, to labels, by @bundle@."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgepack.runtime.labels import Label
from edgepack_model._bundle import BUNDLE, opened


class TextClassification:
    """@model@: @labels@ labels; texts of more than @max_length@ tokens are cut.

    Opening it reads and checks the bundle. Raises BundleDamaged where a file is not the bundle's.
    """

    def __init__(self, bundle: Path = BUNDLE, *, threads: int | None = None) -> None:
        self._model: Any = opened(bundle, threads)

    @property
    def labels(self) -> list[str]:
        """The names of all labels, in the model's order."""
        return list(self._model.labels)

    def classify(self, texts: Sequence[str | tuple[str, str]], *, batch_size: int = 32) -> list[list[Label]]:
        """Return the labels of each text or pair of texts, with their scores, best first. Raises InputError."""
        found: list[list[Label]] = self._model.classify(list(texts), batch_size=batch_size)
        return found
