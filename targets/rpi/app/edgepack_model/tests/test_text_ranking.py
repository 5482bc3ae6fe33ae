"""The wrapper's own call."""

from __future__ import annotations

from edgepack_model import TextRanking


def test_every_passage_has_a_score_best_first() -> None:
    model = TextRanking()
    passages = ["Ada lived in London.", "Rain fell all day.", "A bank raised its rates."]
    found = model.rank("Where did Ada live?", passages)
    assert sorted(passage.text for passage in found) == sorted(passages)
    assert [passage.score for passage in found] == sorted((passage.score for passage in found), reverse=True)
    assert model.rank("Where did Ada live?", passages, top_k=1) == found[:1]
