"""Images to vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgepack.arrays import Array, Example, Feeds, Run
from edgepack.runtime.batch import BATCH, in_batches
from edgepack.runtime.image import ImageInput
from edgepack.runtime.processing import Embedding, Image, Processing
from edgepack.runtime.submodel import MODEL


class Model:
    """``embed(images)``: one float32 vector per image."""

    def __init__(self, runs: Mapping[str, Run], folder: Path, processing: Processing) -> None:
        embedding = processing.section(Embedding)
        self._runs, self._output = runs, embedding.output
        self._width = 0 if embedding.width is None else embedding.width
        self.image = ImageInput(processing.section(Image))

    def embed(self, images: Example | Sequence[Example], *, batch_size: int = BATCH) -> Array:
        """Return float32 [images, width]; a single image (array or path) gives [width]. Raises InputError."""
        if not isinstance(images, list | tuple):
            return self.predict([images])[0]
        vectors = self.predict(images, batch_size=batch_size)
        return np.stack(vectors) if vectors else np.zeros((0, self._width), np.float32)

    def feeds(self, examples: Sequence[Example]) -> Feeds:
        """Return one batch's input arrays."""
        return self.image.feeds(examples)

    def predict(self, examples: Sequence[Example], *, batch_size: int = BATCH) -> list[Array]:
        """Return a vector per image."""
        return in_batches(examples, batch_size, lambda batch: list(self._runs[MODEL](self.feeds(batch))[self._output]))
