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
from edgepack.runtime.prompts import Prompts
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
    """``rank(query, passages)``: the passages with their scores, best first.

    ``prompts`` are texts that the model was trained to find with a query, by name, as instructions are; its default
    one is put there unless another is asked for.
    """

    def __init__(self, runs: Mapping[str, Run], folder: Path, processing: Processing) -> None:
        classes = processing.section(Classes)
        if len(classes.labels) != 1:
            raise BundleDamaged(f"processing.answer names {len(classes.labels)} labels; a score of passages is one")
        self._runs, self._problem = runs, classes.problem_type
        text = processing.section(Text)
        self.prompts, self.default_prompt = dict(text.prompts), text.default_prompt
        self.text = TextInput(folder, text)

    def rank(
        self,
        query: str,
        passages: Sequence[str],
        *,
        top_k: int | None = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = BATCH,
    ) -> list[Ranked]:
        """Return the ``top_k`` best passages (None: all of them), best first.

        ``prompt_name`` is one of ``prompts``; ``prompt`` is a text of your own, "" for none. Of passages with the same
        score the earlier comes first. Raises InputError, UsageError, UnknownName for another prompt.
        """
        most = None if top_k is None else arguments.whole("top_k", top_k, 1)
        listed = many(passages)
        before = self._prompt(prompt_name, prompt)
        pairs = [_pair((query, passage)) for passage in listed]
        found = [float(score[0]) for score in self._scores(pairs, before, batch_size)]
        order = sorted(range(len(listed)), key=lambda index: -found[index])[:most]
        return [Ranked(index, found[index], listed[index]) for index in order]

    def feeds(self, examples: Sequence[Pair]) -> Feeds:
        """Return one batch's input arrays, of pairs of a query and a passage. Raises InputError."""
        return self._feeds([_pair(example) for example in examples], self._prompt(None, None))

    def predict(self, examples: Sequence[Pair], *, batch_size: int = BATCH) -> list[float]:
        """Return the score of each pair of a query and a passage. Raises InputError."""
        return [float(score[0]) for score in self.scores(examples, batch_size=batch_size)]

    def scores(self, examples: Sequence[Pair], *, batch_size: int = BATCH) -> list[Array]:
        """Return the score of each pair, float64 [1]. Raises InputError."""
        return self._scores([_pair(example) for example in examples], self._prompt(None, None), batch_size)

    def _scores(self, pairs: Sequence[Pair], prompt: str, batch_size: int) -> list[Array]:
        def logits(batch: Sequence[Pair]) -> list[Array]:
            return list(self._runs[MODEL](self._feeds(batch, prompt))["logits"])

        found = in_batches(pairs, batch_size, logits, text_length)
        return [np.asarray(scores(row, self._problem)) for row in found]

    def _feeds(self, pairs: Sequence[Pair], prompt: str) -> Feeds:
        return self.text.encode(pairs, prompt)[0]

    def _prompt(self, name: str | None, text: str | None) -> str:
        return Prompts(self.prompts, self.default_prompt).chosen(name, text)


def _pair(example: Pair) -> Pair:
    if isinstance(example, tuple | list) and len(example) == 2 and all(isinstance(text, str) for text in example):
        return example[0], example[1]
    raise InputError("a reranker takes a query and a passage, two texts", hint='model.rank("a query", ["a passage"])')
