"""Images to labels that the caller names, and both to vectors that can be compared (CLIP, SigLIP)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgepack.arrays import Answers, Array, Example, Run
from edgepack.errors import UsageError
from edgepack.runtime import arguments
from edgepack.runtime.batch import BATCH
from edgepack.runtime.consistency import PLACE
from edgepack.runtime.labels import Label
from edgepack.runtime.labels import labels as labels_of
from edgepack.runtime.processing import Embedding, Match, Processing
from edgepack.runtime.submodel import MODEL, TEXT_MODEL, VISION_MODEL
from edgepack.runtime.tasks import image_embedding, text_embedding

TEXT, VISION = TEXT_MODEL, VISION_MODEL
SUBMODELS = (TEXT, VISION)


class Model:
    """``classify(images, labels)``: how well each label fits an image; ``embed_text``, ``embed_image``: the vectors.

    A text and an image are alike as their vectors' cosine says. ``submodels`` are the two encoders by name.
    """

    def __init__(self, runs: Mapping[str, Run], folder: Path, processing: Processing) -> None:
        match = processing.section(Match)
        self._scale, self._bias, self._template = match.scale, match.bias, match.template
        self._text = text_embedding.Model(_own(runs, TEXT), folder, part(processing, TEXT))
        self._vision = image_embedding.Model(_own(runs, VISION), folder, part(processing, VISION))
        self.submodels = {TEXT: self._text, VISION: self._vision}

    def classify(
        self,
        images: Example | Sequence[Example],
        labels: Sequence[str],
        *,
        template: str | None = None,
        batch_size: int = BATCH,
    ) -> Answers:
        """Return a list of Label per image (uint8 array [h, w, 3] or [h, w], or a file's path), best first.

        Each label stands in the place of ``{}`` in the ``template``, by default a sentence. CLIP's scores are the
        softmax over ``labels``: they say which of these fits best, not whether any does; SigLIP's say of each by itself
        whether it does. A single image gives one list. Raises InputError, UsageError.
        """
        listed = arguments.texts("labels", labels)
        if not listed:
            raise UsageError("there are no labels to choose from", hint='labels=["a cat", "a dog"]')
        sentences = [self._sentence(label, template) for label in listed]
        given = images if isinstance(images, list | tuple) else [images]
        if not given:
            return []
        cosines = _unit(self.embed_image(list(given), batch_size=batch_size)) @ _unit(self.embed_text(sentences)).T
        found = [self._ranked(self._scale * row, listed) for row in cosines]
        return found if isinstance(images, list | tuple) else found[0]

    def embed_text(self, texts: str | Sequence[str], *, batch_size: int = BATCH) -> Array:
        """Return float32 [texts, width], not normalised; a single str gives [width]. Raises InputError."""
        return self._text.embed(texts, batch_size=batch_size)

    def embed_image(self, images: Example | Sequence[Example], *, batch_size: int = BATCH) -> Array:
        """Return float32 [images, width], not normalised; a single array or path gives [width]. Raises InputError."""
        return self._vision.embed(images, batch_size=batch_size)

    def _ranked(self, logits: Array, names: Sequence[str]) -> list[Label]:
        if self._bias is None:
            return labels_of(logits, names, "single_label_classification")
        return labels_of(logits + self._bias, names, "multi_label_classification")

    def _sentence(self, label: str, template: str | None) -> str:
        chosen = self._template if template is None else arguments.text("template", template)
        if PLACE not in chosen:
            raise UsageError(f"the template {chosen[:60]!r} has no place for the label", hint="'a drawing of {}'")
        return chosen.replace(PLACE, label)


def part(processing: Processing, name: str) -> Processing:
    """Return the processing of the submodel ``name``, which alone is a model of embeddings."""
    match = processing.section(Match)
    if name == TEXT:
        answer = Embedding(output=match.text_output, width=match.width, similarity="cosine")
        return Processing(text=processing.text, answer=answer)
    return Processing(image=processing.image, answer=Embedding(output=match.image_output, width=match.width))


def _own(runs: Mapping[str, Run], name: str) -> dict[str, Run]:
    """Return the run of one submodel as a model of its own has it."""
    return {MODEL: runs[name]} if name in runs else {}


def _unit(vectors: Array) -> Array:
    """Return float64 [n, width] of length 1; zeros stay zeros."""
    wide = vectors.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(np.divide(wide, length, out=np.zeros_like(wide), where=length > 0))
