"""The wrapper's own call."""

from __future__ import annotations

import numpy as np
from edgepack_model import ZeroShotImageClassification
from edgepack_model._bundle import BUNDLE

from edgepack.runtime.opening import opened
from edgepack.runtime.processing import Image


def test_the_scores_of_labels_are_probabilities() -> None:
    size = opened(BUNDLE, verify=False).processing.section(Image).size
    (found,) = ZeroShotImageClassification().classify(
        [np.full((size.height, size.width, 3), 90, np.uint8)], ["a cat", "a dog"]
    )
    assert {label.name for label in found} == {"a cat", "a dog"}
    assert abs(sum(label.score for label in found) - 1) < 1e-6
