"""Images to labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgepack.arrays import Answers, Example, Feeds, Run
from edgepack.runtime.batch import BATCH, in_batches
from edgepack.runtime.image import ImageInput
from edgepack.runtime.labels import Label, labels
from edgepack.runtime.processing import Classes, Image, Processing
from edgepack.runtime.submodel import MODEL


class Model:
    """``classify(image)``: the labels of each image, best first."""

    def __init__(self, runs: Mapping[str, Run], folder: Path, processing: Processing) -> None:
        classes = processing.section(Classes)
        self._runs = runs
        self.labels, self._problem = list(classes.labels), classes.problem_type
        self.image = ImageInput(processing.section(Image))

    def classify(self, images: Example | Sequence[Example], *, batch_size: int = BATCH) -> Answers:
        """Return a list of Label per image (uint8 array [h, w, 3] or [h, w], or a file's path); one gives one
        list.
        """
        if isinstance(images, list | tuple):
            return self.predict(images, batch_size=batch_size)
        return self.predict([images])[0]

    def feeds(self, examples: Sequence[Example]) -> Feeds:
        """Return one batch's input arrays."""
        return self.image.feeds(examples)

    def predict(self, examples: Sequence[Example], *, batch_size: int = BATCH) -> list[list[Label]]:
        """Return the labels of each image, best first."""
        return in_batches(
            examples,
            batch_size,
            lambda batch: [
                labels(row, self.labels, self._problem) for row in self._runs[MODEL](self.feeds(batch))["logits"]
            ],
        )
