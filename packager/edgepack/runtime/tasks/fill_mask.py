"""A text with a mask to the tokens that fit there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.errors import InputError
from edgepack.runtime.batch import BATCH, in_batches, many, text_length
from edgepack.runtime.scores import softmax
from edgepack.runtime.text import TextInput
from edgepack.runtime.types import Array, Feeds, Run


@dataclass(frozen=True)
class Filled:
    """A token for the mask, its probability, and the text with it."""

    token: str
    score: float
    text: str


class Model:
    """``fill(text)``: the best tokens for the first mask of each text."""

    def __init__(self, run: Run, folder: Path, processing: Mapping[str, Any]) -> None:
        self._run = run
        self._mask, self._mask_id = str(processing["mask_token"]), int(processing["mask_id"])
        self.text = TextInput(folder, processing)

    def fill(self, texts: str | Sequence[str], *, top: int = 5) -> Any:
        """A list of Filled per text, best first; a single str gives one list. Raises InputError without a mask."""
        if isinstance(texts, str):
            return self.predict([texts], top=top)[0]
        return self.predict(many(texts), top=top)

    def feeds(self, examples: Sequence[str]) -> Feeds:
        """One batch's input arrays."""
        return self.text.encode(examples)[0]

    def predict(self, examples: Sequence[str], *, batch_size: int = BATCH, top: int = 5) -> list[list[Filled]]:
        """The ``top`` tokens for the first mask of each text."""
        return in_batches(examples, batch_size, lambda batch: self._step(batch, top), text_length)

    def _step(self, batch: list[str], top: int) -> list[list[Filled]]:
        feeds = self.feeds(batch)
        logits = self._run(feeds)["logits"]
        return [
            self._best(text, *row, top)
            for text, row in zip(batch, zip(feeds["input_ids"], logits, strict=True), strict=True)
        ]

    def _best(self, text: str, ids: Array, logits: Array, top: int) -> list[Filled]:
        places = np.flatnonzero(ids == self._mask_id)
        if not len(places):
            raise InputError(
                f"the text has no {self._mask}",
                hint=f'write for example "Paris is the {self._mask} of France."',
            )
        scores = softmax(logits[places[0]])
        order = np.argsort(-scores, kind="stable")[:top]
        tokens = [self.text.tokenizer.decode([int(i)]).strip() for i in order]
        return [
            Filled(token, float(scores[i]), text.replace(self._mask, token, 1))
            for token, i in zip(tokens, order, strict=True)
        ]
