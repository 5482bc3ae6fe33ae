"""The safety checker of Stable Diffusion 1: images that it refuses are not given out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.arrays import Run
from edgepack.errors import BundleError, InputError
from edgepack.runtime.diffusion.image_values import GeneratedImage
from edgepack.runtime.image import ImageInput
from edgepack.runtime.processing import Processing

CHECKER = "safety_checker"
_UNSUITABLE = "has_nsfw_concepts"


def check(run: Run, processing: Processing, made: Sequence[GeneratedImage]) -> None:
    """Raises InputError for an image that the checker ``run`` refuses, BundleError where the manifest does not say how
    images are prepared for it.
    """
    if processing.image is None:
        raise BundleError(
            "the manifest does not say how the safety checker's images are prepared", hint="build it again"
        )
    seen = ImageInput(processing.image)
    for one in made:
        if np.any(run(seen.feeds([one.pixels]))[_UNSUITABLE]):
            raise InputError(
                f"the model's safety checker refuses image {one.index + 1} of {len(made)}, of seed {one.seed}",
                hint="take another seed or another prompt",
            )
