"""Sentences to vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from edgepack.arrays import Array, Feeds, Run, cosine
from edgepack.errors import BundleDamaged, InputError, UsageError
from edgepack.runtime import arguments
from edgepack.runtime.batch import BATCH, in_batches, many, text_length
from edgepack.runtime.processing import Embedding, Processing, Text
from edgepack.runtime.prompts import Prompts
from edgepack.runtime.submodel import MODEL
from edgepack.runtime.text import TextInput
from edgepack.runtime.vectors import Precision, cut, quantize


class Model:
    """``embed(texts)``: one float32 vector per text, pooled and normalised as the original does it.

    ``prompts`` are the texts that the model was trained to find in front of others, by name; the one that the model
    names as its default is put there unless another is asked for.
    """

    def __init__(self, runs: Mapping[str, Run], folder: Path, processing: Processing) -> None:
        text, embedding = processing.section(Text), processing.section(Embedding)
        if embedding.width is None or embedding.similarity is None:
            raise BundleDamaged("processing.answer lacks 'width' or 'similarity'")
        self._runs, self._output, self._width = runs, embedding.output, embedding.width
        self._similarity = embedding.similarity
        self._pools_prompts = text.include_prompt
        self.prompts, self.default_prompt = dict(text.prompts), text.default_prompt
        self.text = TextInput(folder, text)

    def embed(
        self,
        texts: str | Sequence[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        truncate_dim: int | None = None,
        precision: Precision = "float32",
        ranges: Array | None = None,
        batch_size: int = BATCH,
    ) -> Array:
        """Return float32 [texts, width]; a single str gives [width].

        ``prompt_name`` is one of ``prompts``; ``prompt`` is a text of your own, "" for none. ``truncate_dim`` is how
        many numbers are kept, for models that were trained for it; ``precision`` and ``ranges`` are those of
        runtime.vectors.quantize. Raises InputError, UnknownName for another prompt, UsageError where both are given,
        and for a width or a precision that there is not.
        """
        before = self._prompt(prompt_name, prompt)
        kept = None if truncate_dim is None else arguments.whole("truncate_dim", truncate_dim, 1)
        found = self._vectors([texts] if isinstance(texts, str) else many(texts), before, batch_size)
        whole = np.stack(found) if found else np.zeros((0, self._width), np.float32)
        made = quantize(cut(whole, kept), precision, ranges)
        return made[0] if isinstance(texts, str) else made

    def feeds(self, examples: Sequence[str]) -> Feeds:
        """Return one batch's input arrays, the default prompt before each text."""
        return self._feeds(examples, self._prompt(None, None))

    def predict(self, examples: Sequence[str], *, batch_size: int = BATCH) -> list[Array]:
        """Return a vector per text, with the default prompt."""
        return self._vectors(examples, self._prompt(None, None), batch_size)

    def similarity(self, a: Array, b: Array) -> float:
        """Return how alike two vectors are, larger for more alike, as the model's authors measure it."""
        one, other = arguments.vector("a", a), arguments.vector("b", b)
        if one.shape != other.shape:
            raise UsageError(f"vectors of {len(one)} and {len(other)} numbers", hint="both must have the same width")
        return float(_SIMILARITIES[self._similarity](one, other))

    def _prompt(self, name: str | None, text: str | None) -> str:
        chosen = Prompts(self.prompts, self.default_prompt).chosen(name, text)
        if text and not self._pools_prompts:
            raise UsageError("this model leaves prompts out of its pooling, which the bundle cannot do")
        return chosen

    def _vectors(self, texts: Sequence[str], prompt: str, batch_size: int) -> list[Array]:
        return in_batches(
            texts,
            batch_size,
            lambda batch: list(self._runs[MODEL](self._feeds(batch, prompt))[self._output]),
            text_length,
        )

    def _feeds(self, texts: Sequence[str], prompt: str) -> Feeds:
        return self.text.encode([_single(text) for text in texts], prompt)[0]


def _single(text: str) -> str:
    if isinstance(text, str):
        return text
    raise InputError(f"a text must be a str, not {type(text).__name__}")


_SIMILARITIES: dict[str, Callable[[Array, Array], float | np.floating | Array]] = {
    "cosine": cosine,
    "dot": lambda a, b: a @ b,
    "euclidean": lambda a, b: -np.linalg.norm(a - b),
    "manhattan": lambda a, b: -np.abs(a - b).sum(),
}
