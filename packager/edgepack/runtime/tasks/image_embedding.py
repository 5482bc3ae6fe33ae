"""Pictures to vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.arrays import Array, Feeds, Run
from edgepack.runtime.batch import BATCH, in_batches
from edgepack.runtime.image import ImageInput


class Model:
    """``embed(images)``: one float32 vector per picture."""

    def __init__(self, run: Run, folder: Path, processing: Mapping[str, Any]) -> None:
        self._run, self._output = run, str(processing["output"])
        self._width = int(processing.get("width", 0))
        self.image = ImageInput(processing)

    def embed(self, images: Any, *, batch_size: int = BATCH) -> Array:
        """float32 [images, width]; a single picture (array or path) gives [width]. Raises InputError."""
        if not isinstance(images, list | tuple):
            return self.predict([images])[0]
        vectors = self.predict(images, batch_size=batch_size)
        return np.stack(vectors) if vectors else np.zeros((0, self._width), np.float32)

    def feeds(self, examples: Sequence[Any]) -> Feeds:
        """One batch's input arrays."""
        return self.image.feeds(examples)

    def predict(self, examples: Sequence[Any], *, batch_size: int = BATCH) -> list[Array]:
        """A vector per picture."""
        return in_batches(examples, batch_size, lambda batch: list(self._run(self.feeds(batch))[self._output]))
