"""A text with a mask to the tokens that fit there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepack.arrays import Answers, Array, Feeds, Run
from edgepack.errors import InputError
from edgepack.runtime import arguments
from edgepack.runtime.batch import BATCH, in_batches, many, text_length
from edgepack.runtime.labels import softmax
from edgepack.runtime.processing import Mask, Processing, Text
from edgepack.runtime.submodel import MODEL
from edgepack.runtime.text import TextInput


@dataclass(frozen=True)
class Filled:
    """A token for the mask, its probability, and the text that the tokens make with it, parts of words joined."""

    token: str
    score: float
    text: str


class Model:
    """``fill(text)``: the best tokens for the first mask of each text."""

    def __init__(self, runs: Mapping[str, Run], folder: Path, processing: Processing) -> None:
        text, mask = processing.section(Text), processing.section(Mask)
        self._runs, self._pad_id = runs, text.pad_id
        self._mask, self._mask_id = mask.mask_token, mask.mask_id
        self.text = TextInput(folder, text)

    def fill(self, texts: str | Sequence[str], *, top: int = 5) -> Answers:
        """Return a list of Filled per text, best first; a single str gives one list.

        Raises InputError without a mask.
        """
        top = arguments.whole("top", top, 1)
        if isinstance(texts, str):
            return self.predict([texts], top=top)[0]
        return self.predict(many(texts), top=top)

    def feeds(self, examples: Sequence[str]) -> Feeds:
        """Return one batch's input arrays."""
        return self.text.encode(examples)[0]

    def predict(self, examples: Sequence[str], *, batch_size: int = BATCH, top: int = 5) -> list[list[Filled]]:
        """Return the ``top`` tokens for the first mask of each text."""
        return in_batches(examples, batch_size, lambda batch: self._step(batch, top), text_length)

    def _step(self, batch: list[str], top: int) -> list[list[Filled]]:
        feeds = self.feeds(batch)
        logits = self._runs[MODEL](feeds)["logits"]
        return [
            self._best(ids[mask.astype(bool)], row[mask.astype(bool)], top)
            for ids, mask, row in zip(feeds["input_ids"], feeds["attention_mask"], logits, strict=True)
        ]

    def _best(self, ids: Array, logits: Array, top: int) -> list[Filled]:
        places = np.flatnonzero(ids == self._mask_id)
        if not len(places):
            raise InputError(
                f"the text has no {self._mask}",
                hint=f'write for example "Paris is the {self._mask} of France."',
            )
        scores = softmax(logits[places[0]])
        order = np.argsort(-scores, kind="stable")[:top]
        decode = self.text.tokenizer.decode
        return [
            Filled(decode([int(i)], skip_special_tokens=False), float(scores[i]), self._text(ids, int(i)))
            for i in order
        ]

    def _text(self, ids: Array, token: int) -> str:
        """Return the text with ``token`` for the first mask; of several masks the others stay, with the marks at
        the ends.
        """
        places = np.flatnonzero(ids == self._mask_id)
        filled = ids.copy()
        filled[places[0]] = token
        kept = filled[filled != self._pad_id]
        return str(self.text.tokenizer.decode([int(i) for i in kept], skip_special_tokens=len(places) == 1))
