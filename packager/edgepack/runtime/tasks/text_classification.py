"""Texts, or pairs of texts, to labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgepack.arrays import Answers, Array, Feeds, Run
from edgepack.runtime.batch import BATCH, in_batches, many, text_length
from edgepack.runtime.labels import Label, labels, scores
from edgepack.runtime.processing import Classes, Processing, Text
from edgepack.runtime.submodel import MODEL
from edgepack.runtime.text import TextInput

Example = str | tuple[str, str]


class Model:
    """``classify(texts)``: the labels of each text or pair of texts (a tuple), best first; ``labels``: all names."""

    def __init__(self, runs: Mapping[str, Run], folder: Path, processing: Processing) -> None:
        classes = processing.section(Classes)
        self._runs = runs
        self.labels, self._problem = list(classes.labels), classes.problem_type
        self.text = TextInput(folder, processing.section(Text))

    def classify(self, texts: Example | Sequence[Example], *, batch_size: int = BATCH) -> Answers:
        """Return a list of Label per text; one text (or one pair, as a tuple) gives one list. Raises InputError."""
        if isinstance(texts, str | tuple):
            return self.predict([texts])[0]
        return self.predict(many(texts), batch_size=batch_size)

    def feeds(self, examples: Sequence[Example]) -> Feeds:
        """Return one batch's input arrays."""
        return self.text.encode(examples)[0]

    def predict(self, examples: Sequence[Example], *, batch_size: int = BATCH) -> list[list[Label]]:
        """Return the labels of each text, best first."""
        return [labels(row, self.labels, self._problem) for row in self._logits(examples, batch_size)]

    def scores(self, examples: Sequence[Example], *, batch_size: int = BATCH) -> list[Array]:
        """Return the scores of each text, in the order of ``labels``."""
        return [scores(row, self._problem) for row in self._logits(examples, batch_size)]

    def _logits(self, examples: Sequence[Example], batch_size: int) -> list[Array]:
        return in_batches(
            examples, batch_size, lambda batch: list(self._runs[MODEL](self.feeds(batch))["logits"]), text_length
        )
