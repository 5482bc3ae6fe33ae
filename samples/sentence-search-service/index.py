"""Notes and their vectors; a search is one matrix product."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Found:
    """A note, and how alike it is to what was asked: a cosine."""

    note: str
    score: float


class Index:
    """Makes the index of ``notes``; ``embed`` returns float32 [texts, width], each row of length 1."""

    def __init__(self, notes: list[str], embed: Callable[[list[str]], np.ndarray]) -> None:
        self._notes, self._embed = notes, embed
        self._vectors = embed(notes)

    def search(self, question: str, count: int = 3) -> list[Found]:
        """The ``count`` notes that mean most nearly what ``question`` asks."""
        scores = self._vectors @ self._embed([question])[0]
        return [Found(self._notes[i], float(scores[i])) for i in np.argsort(-scores)[:count]]
