"""A question and a context to the span that answers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Encoding

from edgepack.arrays import Array, Feeds, Run
from edgepack.errors import BundleDamaged
from edgepack.runtime.batch import BATCH
from edgepack.runtime.labels import softmax
from edgepack.runtime.processing import Processing, Span, Text
from edgepack.runtime.submodel import MODEL
from edgepack.runtime.text import TextInput


@dataclass(frozen=True)
class Answer:
    """``context[start:end]`` with its probability; an empty text when the context is empty."""

    text: str
    start: int
    end: int
    score: float


class Model:
    """``answer(question, context)``: the best span; long contexts are read in overlapping windows."""

    def __init__(self, runs: Mapping[str, Run], folder: Path, processing: Processing) -> None:
        text = processing.section(Text)
        self._runs, self._longest = runs, processing.section(Span).max_answer_length
        self.text = TextInput(folder, text)
        if text.stride is None:
            raise BundleDamaged("processing.text lacks 'stride', by which contexts are read in windows")
        self._stride = min(text.stride, text.max_length // 2)

    def answer(self, question: str, context: str) -> Answer:
        """Return the span of ``context`` with the largest probability. Raises InputError."""
        windows = self.text.windows(question, context, self._stride)
        candidates = [self._best(window, context) for window in windows]
        return max(candidates, key=lambda answer: answer.score)

    def feeds(self, examples: Sequence[tuple[str, str]]) -> Feeds:
        """Return the first window of each (question, context), as one batch."""
        return self.text.padded([self.text.windows(*example, self._stride)[0] for example in examples])

    def predict(self, examples: Sequence[tuple[str, str]], *, batch_size: int = BATCH) -> list[Answer]:
        """Return the answer to each (question, context)."""
        return [self.answer(question, context) for question, context in examples]

    def _best(self, window: Encoding, context: str) -> Answer:
        """Start and end probabilities multiplied over allowed spans, as BERT's authors do (Devlin et al. 2019)."""
        outputs = self._runs[MODEL](self.text.feeds([window]))
        inside = np.array([part == 1 for part in window.sequence_ids])
        if not inside.any():
            return Answer("", 0, 0, 0.0)
        start = _probabilities(outputs["start_logits"][0], inside)
        end = _probabilities(outputs["end_logits"][0], inside)
        spans = np.triu(np.outer(start, end)) - np.triu(np.outer(start, end), self._longest)
        first, last = np.unravel_index(int(spans.argmax()), spans.shape)
        begin, stop = window.offsets[first][0], window.offsets[last][1]
        return Answer(context[begin:stop], begin, stop, float(spans[first, last]))


def _probabilities(logits: Array, inside: Array) -> Array:
    """Return softmax over the context's tokens and the first, [CLS], which stands for "no answer" and is none here."""
    allowed = inside.copy()
    allowed[0] = True
    return np.asarray(softmax(np.where(allowed, logits, -10000.0)) * inside)
