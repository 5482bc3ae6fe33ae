"""The order of a build's steps can be read at once."""

from __future__ import annotations

from pathlib import Path

from edgepack import pipeline

PAGE = 130  # lines


def test_the_pipeline_is_a_page() -> None:
    assert len(Path(pipeline.__file__).read_text("utf-8").splitlines()) < PAGE
