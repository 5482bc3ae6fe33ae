"""The wrapper's own call."""

from __future__ import annotations

from edgepack_model import QuestionAnswering

CONTEXT = "Ada Lovelace lived in London."


def test_an_answer_is_a_part_of_the_context() -> None:
    found = QuestionAnswering().answer("Where did she live?", CONTEXT)
    assert found.text == CONTEXT[found.start : found.end]
    assert 0 <= found.score <= 1
