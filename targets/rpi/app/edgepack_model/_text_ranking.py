"""A query and passages to scores, by @bundle@."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgepack.runtime.tasks.text_ranking import Ranked
from edgepack_model._bundle import BUNDLE, opened


class TextRanking:
    """@model@: a score for a query with each passage; pairs of more than @max_length@ tokens are cut.

    Opening it reads and checks the bundle. Raises BundleDamaged where a file is not the bundle's.
    """

    def __init__(self, bundle: Path = BUNDLE, *, threads: int | None = None) -> None:
        self._model: Any = opened(bundle, threads)

    def rank(
        self,
        query: str,
        passages: Sequence[str],
        *,
        top_k: int | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
    ) -> list[Ranked]:
        """Return the ``top_k`` best passages (None: all), with their scores, best first. Raises InputError.

        ``prompt`` stands in the place of the model's own, for one that was trained with prompts.
        """
        found: list[Ranked] = self._model.rank(query, list(passages), top_k=top_k, prompt=prompt, batch_size=batch_size)
        return found
