"""Texts to sparse vectors: a weight for each token of the vocabulary that a text is about, by SPLADE's models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepack.arrays import Answers, Array, Feeds, Run
from edgepack.errors import BundleDamaged, InputError
from edgepack.runtime import arguments
from edgepack.runtime.batch import BATCH, in_batches, many, text_length
from edgepack.runtime.processing import Embedding, Processing, Text
from edgepack.runtime.prompts import Prompts
from edgepack.runtime.submodel import MODEL
from edgepack.runtime.text import TextInput

_SHOWN = 5  # of a text's tokens, the heaviest


@dataclass(frozen=True)
class SparseVector:
    """The numbers of a vector that are not zero: ``indices`` int64 [n], ascending, and ``values`` float32 [n]."""

    indices: Array
    values: Array


@dataclass(frozen=True)
class Weight:
    """A token and how much a text is about it."""

    token: str
    weight: float


class Model:
    """``embed(texts)``: one SparseVector per text, as sentence-transformers' SparseEncoder gives it.

    ``prompts`` are the texts that the model was trained to find in front of others, by name.
    """

    def __init__(self, runs: Mapping[str, Run], folder: Path, processing: Processing) -> None:
        text, embedding = processing.section(Text), processing.section(Embedding)
        if embedding.width is None:
            raise BundleDamaged("processing.answer lacks 'width'")
        self._runs, self._output, self.width = runs, embedding.output, embedding.width
        self.prompts, self.default_prompt = dict(text.prompts), text.default_prompt
        self.text = TextInput(folder, text)

    def embed(
        self,
        texts: str | Sequence[str],
        *,
        max_active_dims: int | None = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = BATCH,
    ) -> Answers:
        """Return a SparseVector per text; a single str gives one.

        ``max_active_dims`` is how many of its numbers are kept, the largest (None: all); ``prompt_name`` is one of
        ``prompts``, ``prompt`` a text of your own. Raises InputError, UnknownName, UsageError.
        """
        most = None if max_active_dims is None else arguments.whole("max_active_dims", max_active_dims, 1)
        before = self._prompt(prompt_name, prompt)
        listed = [texts] if isinstance(texts, str) else many(texts)
        made = [sparse(vector, most) for vector in self._vectors(listed, before, batch_size)]
        return made[0] if isinstance(texts, str) else made

    def weights(self, vector: SparseVector) -> dict[str, float]:
        """Return the weight of each token of ``vector``, the heaviest first."""
        order = np.argsort(-vector.values, kind="stable")
        return {self._token(int(vector.indices[i])): float(vector.values[i]) for i in order}

    def similarity(self, a: SparseVector, b: SparseVector) -> float:
        """Return the dot product of two vectors, larger for texts about the same."""
        _, one, other = np.intersect1d(a.indices, b.indices, assume_unique=True, return_indices=True)
        return float(a.values[one].astype(np.float64) @ b.values[other].astype(np.float64))

    def feeds(self, examples: Sequence[str]) -> Feeds:
        """Return one batch's input arrays, the default prompt before each text. Raises InputError."""
        return self._feeds(examples, self._prompt(None, None))

    def predict(self, examples: Sequence[str], *, batch_size: int = BATCH) -> list[list[Weight]]:
        """Return the heaviest tokens of each text, with the default prompt."""
        found = self.embed(list(examples), max_active_dims=_SHOWN, batch_size=batch_size)
        return [[Weight(*entry) for entry in self.weights(vector).items()] for vector in found]

    def dense(self, examples: Sequence[str], *, batch_size: int = BATCH) -> list[Array]:
        """Return a vector per text with its zeros, float32 [width], with the default prompt."""
        return self._vectors(list(examples), self._prompt(None, None), batch_size)

    def _token(self, index: int) -> str:
        """Return the token of an index; the index of one that the tokenizer does not have."""
        return self.text.tokenizer.id_to_token(index) or str(index)

    def _prompt(self, name: str | None, text: str | None) -> str:
        return Prompts(self.prompts, self.default_prompt).chosen(name, text)

    def _vectors(self, texts: Sequence[str], prompt: str, batch_size: int) -> list[Array]:
        def step(batch: Sequence[str]) -> list[Array]:
            return list(self._runs[MODEL](self._feeds(batch, prompt))[self._output])

        return in_batches(texts, batch_size, step, text_length)

    def _feeds(self, texts: Sequence[str], prompt: str) -> Feeds:
        if not all(isinstance(text, str) for text in texts):
            raise InputError("a text must be a str")
        return self.text.encode(texts, prompt)[0]


def sparse(vector: Array, most: int | None = None) -> SparseVector:
    """Return what of ``vector`` float32 [width] is not zero, its ``most`` largest numbers (None: all)."""
    indices = np.flatnonzero(vector)
    if most is not None and len(indices) > most:
        indices = np.sort(indices[np.argsort(-np.abs(vector[indices]), kind="stable")[:most]])
    return SparseVector(indices, vector[indices])
