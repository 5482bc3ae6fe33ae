"""The wrapper's own call."""

from __future__ import annotations

from edgepack_model import TokenClassification

TEXT = "Ada Lovelace lived in London."


def test_entities_are_parts_of_the_text() -> None:
    (found,) = TokenClassification().tag([TEXT])
    assert all(entity.text == TEXT[entity.start : entity.end] for entity in found)
    assert [entity.start for entity in found] == sorted(entity.start for entity in found)
