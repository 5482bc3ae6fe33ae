"""Images to vectors, by @bundle@."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepack_model._bundle import BUNDLE, opened

Image = NDArray[np.uint8] | str | Path  # [height, width], [height, width, 3] or a file, which takes Pillow


class ImageEmbedding:
    """@model@: vectors of images, which become @image_width@ × @image_height@ pixels.

    Opening it reads and checks the bundle. Raises BundleDamaged where a file is not the bundle's.
    """

    def __init__(self, bundle: Path = BUNDLE, *, threads: int | None = None) -> None:
        self._model: Any = opened(bundle, threads)

    def embed(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Return float32 [images, width], a row for each image. Raises InputError."""
        vectors: NDArray[np.float32] = self._model.embed(list(images))
        return vectors
