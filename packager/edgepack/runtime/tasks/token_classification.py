"""Texts to named spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Encoding

from edgepack.arrays import Answers, Array, Feeds, Run
from edgepack.runtime.batch import BATCH, in_batches, many, text_length
from edgepack.runtime.labels import softmax
from edgepack.runtime.processing import Entities, Processing, Text
from edgepack.runtime.submodel import MODEL
from edgepack.runtime.text import TextInput

_OUTSIDE = "O"


@dataclass(frozen=True)
class Entity:
    """A span of the text: ``text[start:end]`` has the label with this mean probability."""

    label: str
    text: str
    start: int
    end: int
    score: float


class Model:
    """``tag(texts)``: the entities of each text, in order."""

    def __init__(self, runs: Mapping[str, Run], folder: Path, processing: Processing) -> None:
        self._runs, self._names = runs, list(processing.section(Entities).labels)
        self.spans = [label for label in dict.fromkeys(map(_title, self._names)) if label != _OUTSIDE]
        self.text = TextInput(folder, processing.section(Text))

    def tag(self, texts: str | Sequence[str], *, batch_size: int = BATCH) -> Answers:
        """Return a list of Entity per text; a single str gives one list. Raises InputError."""
        if isinstance(texts, str):
            return self.predict([texts])[0]
        return self.predict(many(texts), batch_size=batch_size)

    def feeds(self, examples: Sequence[str]) -> Feeds:
        """Return one batch's input arrays."""
        return self.text.encode(examples)[0]

    def predict(self, examples: Sequence[str], *, batch_size: int = BATCH) -> list[list[Entity]]:
        """Return the entities of each text."""
        return in_batches(examples, batch_size, self._step, text_length)

    def _step(self, batch: list[str]) -> list[list[Entity]]:
        feeds, encodings = self.text.encode(batch)
        scores = softmax(self._runs[MODEL](feeds)["logits"])
        return [self._entities(*item) for item in zip(batch, encodings, scores, strict=True)]

    def _entities(self, text: str, encoding: Encoding, scores: Array) -> list[Entity]:
        """Join neighbouring tokens of one label into one entity; B- starts a new one (transformers' "simple")."""
        groups: list[tuple[str, str, list[int]]] = []  # the name without B- or I-, the label, the tokens
        for index in range(len(encoding.ids)):
            if encoding.special_tokens_mask[index] or not encoding.attention_mask[index]:
                continue
            name = self._names[int(scores[index].argmax())]
            tag = name[2:] if name.startswith(("B-", "I-")) else name
            if groups and groups[-1][0] == tag and not name.startswith("B-"):
                groups[-1][2].append(index)
            else:
                groups.append((tag, _title(name), [index]))
        return [_entity(text, encoding, scores, label, tokens) for _, label, tokens in groups if label != _OUTSIDE]


def _title(name: str) -> str:
    """Return the label that an entity of this name has: what follows the first dash."""
    return name.split("-", 1)[-1]


def _entity(text: str, encoding: Encoding, scores: Array, label: str, tokens: list[int]) -> Entity:
    start, end = encoding.offsets[tokens[0]][0], encoding.offsets[tokens[-1]][1]
    return Entity(label, text[start:end], start, end, float(np.mean([scores[i].max() for i in tokens])))
