"""Texts to vectors, by @bundle@."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepack_model._bundle import BUNDLE, opened


class TextEmbedding:
    """@model@ as vectors of @width@ numbers; texts of more than @max_length@ tokens are cut.

    Opening it reads and checks the bundle. Raises BundleDamaged where a file is not the bundle's.
    """

    def __init__(self, bundle: Path = BUNDLE, *, threads: int | None = None) -> None:
        self._model: Any = opened(bundle, threads)

    @property
    def prompts(self) -> Mapping[str, str]:
        """The texts that the model was trained to find in front of others, by name."""
        prompts: Mapping[str, str] = self._model.prompts
        return prompts

    def embed(
        self,
        texts: Sequence[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        truncate_dim: int | None = None,
        batch_size: int = 32,
    ) -> NDArray[np.float32]:
        """Return float32 [texts, @width@], a row for each text; of ``truncate_dim`` numbers where that is given.

        ``prompt_name`` is one of ``prompts``, put in front of each text; ``prompt`` is a text of your own, "" for none;
        by default it is the model's own choice. Raises InputError, and UnknownName for another prompt.
        """
        options = {"prompt_name": prompt_name, "prompt": prompt, "truncate_dim": truncate_dim}
        vectors: NDArray[np.float32] = self._model.embed(list(texts), **options, batch_size=batch_size)
        return vectors

    def similarity(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
        """Return how alike two vectors [@width@] are, by @similarity@: larger is more alike."""
        return float(self._model.similarity(a, b))
