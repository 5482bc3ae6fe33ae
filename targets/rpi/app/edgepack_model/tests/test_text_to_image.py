"""The wrapper's own call."""

from __future__ import annotations

import numpy as np
from edgepack_model import TextToImage


def test_a_seed_makes_the_same_image_again() -> None:
    model = TextToImage()
    (one,) = model.generate("a red chair", steps=2, seed=3)
    (other,) = model.generate("a red chair", steps=2, seed=3)
    np.testing.assert_array_equal(one.pixels, other.pixels)


def test_it_can_be_stopped() -> None:
    assert TextToImage().generate("a red chair", steps=2, seed=3, stop=lambda: True) == []
