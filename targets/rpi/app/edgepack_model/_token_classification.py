"""Texts to named spans, by @bundle@."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgepack.runtime.tasks.token_classification import Entity
from edgepack_model._bundle import BUNDLE, opened


class TokenClassification:
    """@model@: spans of texts, of which more than @max_length@ tokens are cut.

    Opening it reads and checks the bundle. Raises BundleDamaged where a file is not the bundle's.
    """

    def __init__(self, bundle: Path = BUNDLE, *, threads: int | None = None) -> None:
        self._model: Any = opened(bundle, threads)

    def tag(self, texts: Sequence[str], *, batch_size: int = 32) -> list[list[Entity]]:
        """Return the entities of each text, in order, with their positions in it. Raises InputError."""
        found: list[list[Entity]] = self._model.tag(list(texts), batch_size=batch_size)
        return found
