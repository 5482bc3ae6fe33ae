"""Sentences to vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.runtime.batch import BATCH, in_batches, many, text_length
from edgepack.runtime.text import TextInput
from edgepack.runtime.types import Array, Feeds, Run


class Model:
    """``embed(texts)``: one float32 vector per text, pooled and normalised as the original does it."""

    def __init__(self, run: Run, folder: Path, processing: Mapping[str, Any]) -> None:
        self._run, self._output = run, str(processing["output"])
        self._width = int(processing.get("width", 0))
        self.text = TextInput(folder, processing)

    def embed(self, texts: str | Sequence[str], *, batch_size: int = BATCH) -> Array:
        """float32 [texts, width]; a single str gives [width]. Raises InputError."""
        if isinstance(texts, str):
            return self.predict([texts])[0]
        vectors = self.predict(many(texts), batch_size=batch_size)
        return np.stack(vectors) if vectors else np.zeros((0, self._width), np.float32)

    def feeds(self, examples: Sequence[str]) -> Feeds:
        """One batch's input arrays."""
        return self.text.encode(examples)[0]

    def predict(self, examples: Sequence[str], *, batch_size: int = BATCH) -> list[Array]:
        """A vector per text."""
        return in_batches(
            examples, batch_size, lambda batch: list(self._run(self.feeds(batch))[self._output]), text_length
        )
