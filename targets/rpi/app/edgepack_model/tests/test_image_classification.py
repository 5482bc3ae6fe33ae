"""The wrapper's own call."""

from __future__ import annotations

import numpy as np
from edgepack_model import ImageClassification
from edgepack_model._bundle import BUNDLE

from edgepack.runtime.opening import opened
from edgepack.runtime.processing import Image


def test_every_label_has_a_score_best_first() -> None:
    size = opened(BUNDLE, verify=False).processing.section(Image).size
    model = ImageClassification()
    (found,) = model.classify([np.full((size.height, size.width, 3), 90, np.uint8)])
    assert sorted(label.name for label in found) == sorted(model.labels)
    assert [label.score for label in found] == sorted((label.score for label in found), reverse=True)
