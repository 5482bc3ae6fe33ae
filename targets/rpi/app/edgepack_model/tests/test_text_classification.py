"""The wrapper's own call."""

from __future__ import annotations

from edgepack_model import TextClassification


def test_every_label_has_a_score_best_first() -> None:
    model = TextClassification()
    first, second = model.classify(["A good day.", "A bad day."])
    for found in (first, second):
        assert sorted(label.name for label in found) == sorted(model.labels)
        assert [label.score for label in found] == sorted((label.score for label in found), reverse=True)
