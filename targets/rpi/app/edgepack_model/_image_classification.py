"""Images to labels, by @bundle@."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepack.runtime.labels import Label
from edgepack_model._bundle import BUNDLE, opened

Image = NDArray[np.uint8] | str | Path  # [height, width], [height, width, 3] or a file, which takes Pillow


class ImageClassification:
    """@model@: @labels@ labels of images, which become @image_width@ × @image_height@ pixels.

    Opening it reads and checks the bundle. Raises BundleDamaged where a file is not the bundle's.
    """

    def __init__(self, bundle: Path = BUNDLE, *, threads: int | None = None) -> None:
        self._model: Any = opened(bundle, threads)

    @property
    def labels(self) -> list[str]:
        """The names of all labels, in the model's order."""
        return list(self._model.labels)

    def classify(self, images: Sequence[Image]) -> list[list[Label]]:
        """Return the labels of each image with their scores, best first. Raises InputError."""
        found: list[list[Label]] = self._model.classify(list(images))
        return found
