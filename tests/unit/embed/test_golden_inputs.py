"""Inputs that go wrong first elsewhere."""

from __future__ import annotations

from edgepack.embed.golden_inputs import DRAWING, PHOTO, shown_by
from edgepack.runtime import image_file


def test_files_show_what_is_said_of_them() -> None:
    """One lies on its side, and the other is transparent."""
    assert set(shown_by()) == {PHOTO, DRAWING}
    for file, shown in shown_by().items():
        assert image_file.read(file).shape == shown.shape == (16, 24, 3)
        assert (image_file.read(file) == shown).all()
