"""Inputs that go wrong first elsewhere."""

from __future__ import annotations

from edgepack.embed.golden_inputs import PHOTO, photo
from edgepack.runtime import image_file


def test_the_photograph_lies_on_its_side() -> None:
    assert image_file.read(PHOTO).shape == photo().shape == (16, 24, 3)
    assert (image_file.read(PHOTO) == photo()).all()
