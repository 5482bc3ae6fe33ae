"""A text with a mask to the tokens that fit there, by @bundle@."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgepack.runtime.tasks.fill_mask import Filled
from edgepack_model._bundle import BUNDLE, opened


class FillMask:
    """@model@: texts of up to @max_length@ tokens.

    Opening it reads and checks the bundle. Raises BundleDamaged where a file is not the bundle's.
    """

    def __init__(self, bundle: Path = BUNDLE, *, threads: int | None = None) -> None:
        self._model: Any = opened(bundle, threads)

    def fill(self, texts: Sequence[str], *, top: int = 5) -> list[list[Filled]]:
        """Return the ``top`` tokens for the first mask of each text, best first. Raises InputError without a mask."""
        found: list[list[Filled]] = self._model.fill(list(texts), top=top)
        return found
