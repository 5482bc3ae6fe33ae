"""Texts to sparse vectors, by @bundle@."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgepack.runtime.tasks.sparse_embedding import SparseVector
from edgepack_model._bundle import BUNDLE, opened


class SparseEmbedding:
    """@model@ as vectors over its vocabulary, most of whose numbers are zero; texts of more than @max_length@ tokens
    are cut.

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
        max_active_dims: int | None = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
    ) -> list[SparseVector]:
        """Return for each text the ``indices`` int64 [n], ascending, and the ``values`` float32 [n] that are not zero.

        ``max_active_dims`` is how many are kept, the largest (None: all). ``prompt_name`` is one of ``prompts``, put in
        front of each text; ``prompt`` is a text of your own, "" for none; by default it is the model's own choice.
        Raises InputError, and UnknownName for another prompt.
        """
        options = {"max_active_dims": max_active_dims, "prompt_name": prompt_name, "prompt": prompt}
        vectors: list[SparseVector] = self._model.embed(list(texts), **options, batch_size=batch_size)
        return vectors

    def weights(self, vector: SparseVector) -> dict[str, float]:
        """Return the weight of each token of ``vector``, the heaviest first."""
        weights: dict[str, float] = self._model.weights(vector)
        return weights

    def similarity(self, a: SparseVector, b: SparseVector) -> float:
        """Return the dot product of two vectors: larger is more alike."""
        return float(self._model.similarity(a, b))
