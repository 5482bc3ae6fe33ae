"""The wrapper's own call."""

from __future__ import annotations

import numpy as np
from edgepack_model import ImageEmbedding
from edgepack_model._bundle import BUNDLE

from edgepack.runtime.opening import opened
from edgepack.runtime.processing import Image


def test_each_image_has_a_vector() -> None:
    size = opened(BUNDLE, verify=False).processing.section(Image).size
    grey = np.full((size.height, size.width, 3), 90, np.uint8)
    one, other = ImageEmbedding().embed([grey, grey])
    assert np.isfinite(one).all()
    np.testing.assert_allclose(one, other, atol=1e-5)
