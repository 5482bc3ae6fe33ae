"""The wrapper's own call."""

from __future__ import annotations

from edgepack_model import TextGeneration


def test_the_likeliest_text_is_the_same_again() -> None:
    model = TextGeneration()
    pieces = list(model.generate("Once upon a time", max_tokens=8))
    assert "".join(pieces)
    assert "".join(model.generate("Once upon a time", max_tokens=8)) == "".join(pieces)


def test_a_stop_text_ends_it() -> None:
    model = TextGeneration()
    text = "".join(model.generate("Once upon a time", max_tokens=8))
    assert "".join(model.generate("Once upon a time", max_tokens=8, stop=[text[1:]])) == text[:1]
