"""A query and passages to scores: how well each passage answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepack.arrays import Array, Feeds, Run
from edgepack.errors import BundleDamaged, InputError
from edgepack.runtime import arguments
from edgepack.runtime.batch import BATCH, in_batches, many, text_length
from edgepack.runtime.labels import scores
from edgepack.runtime.processing import Classes, Processing, Text
from edgepack.runtime.submodel import MODEL
from edgepack.runtime.text import TextInput

Pair = tuple[str, str]


@dataclass(frozen=True)
class Ranked:
    """A passage: its place in the list that was given, its text, and its score, larger for a better answer."""

    index: int
    score: float
    text: str


class Model:
    """``rank(query, passages)``: the passages with their scores, best first."""

    def __init__(self, runs: Mapping[str, Run], folder: Path, processing: Processing) -> None:
        classes = processing.section(Classes)
        if len(classes.labels) != 1:
            raise BundleDamaged(f"processing.answer names {len(classes.labels)} labels; a score of passages is one")
        self._runs, self._problem = runs, classes.problem_type
        self.text = TextInput(folder, processing.section(Text))

    def rank(
        self, query: str, passages: Sequence[str], *, top_k: int | None = None, batch_size: int = BATCH
    ) -> list[Ranked]:
        """Return the ``top_k`` best passages (None: all of them), best first.

        Of passages with the same score the earlier comes first. Raises InputError, UsageError.
        """
        most = None if top_k is None else arguments.whole("top_k", top_k, 1)
        listed = many(passages)
        found = self.predict([(query, passage) for passage in listed], batch_size=batch_size)
        order = sorted(range(len(listed)), key=lambda index: -found[index])[:most]
        return [Ranked(index, found[index], listed[index]) for index in order]

    def feeds(self, examples: Sequence[Pair]) -> Feeds:
        """Return one batch's input arrays, of pairs of a query and a passage. Raises InputError."""
        return self.text.encode([_pair(example) for example in examples])[0]

    def predict(self, examples: Sequence[Pair], *, batch_size: int = BATCH) -> list[float]:
        """Return the score of each pair of a query and a passage. Raises InputError."""
        return [float(score[0]) for score in self.scores(examples, batch_size=batch_size)]

    def scores(self, examples: Sequence[Pair], *, batch_size: int = BATCH) -> list[Array]:
        """Return the score of each pair, float64 [1]. Raises InputError."""
        pairs = [_pair(example) for example in examples]
        logits = in_batches(pairs, batch_size, self._logits, text_length)
        return [np.asarray(scores(row, self._problem)) for row in logits]

    def _logits(self, batch: Sequence[Pair]) -> list[Array]:
        return list(self._runs[MODEL](self.feeds(batch))["logits"])


def _pair(example: Pair) -> Pair:
    if isinstance(example, tuple | list) and len(example) == 2 and all(isinstance(text, str) for text in example):
        return example[0], example[1]
    raise InputError("a reranker takes a query and a passage, two texts", hint='model.rank("a query", ["a passage"])')
