"""Images to labels of one's own, by @bundle@."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepack.runtime.labels import Label
from edgepack_model._bundle import BUNDLE, opened

Image = NDArray[np.uint8] | str | Path  # [height, width], [height, width, 3] or a file, which takes Pillow


class ZeroShotImageClassification:
    """@model@: labels that fit images, and vectors of @width@ numbers of texts and images.

    Opening it reads and checks the bundle. Raises BundleDamaged where a file is not the bundle's.
    """

    def __init__(self, bundle: Path = BUNDLE, *, threads: int | None = None) -> None:
        self._model: Any = opened(bundle, threads)

    def classify(self, images: Sequence[Image], labels: Sequence[str]) -> list[list[Label]]:
        """Return how well each of ``labels`` fits each image, a probability, best first. Raises InputError."""
        found: list[list[Label]] = self._model.classify(list(images), list(labels))
        return found

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return float32 [texts, @width@], not normalised. Raises InputError."""
        vectors: NDArray[np.float32] = self._model.embed_text(list(texts))
        return vectors

    def embed_image(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Return float32 [images, @width@], not normalised. Raises InputError."""
        vectors: NDArray[np.float32] = self._model.embed_image(list(images))
        return vectors
