"""A question and a context to the span that answers it, by @bundle@."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgepack.runtime.tasks.question_answering import Answer
from edgepack_model._bundle import BUNDLE, opened


class QuestionAnswering:
    """@model@: contexts of more than @max_length@ tokens are read in windows.

    Opening it reads and checks the bundle. Raises BundleDamaged where a file is not the bundle's.
    """

    def __init__(self, bundle: Path = BUNDLE, *, threads: int | None = None) -> None:
        self._model: Any = opened(bundle, threads)

    def answer(self, question: str, context: str) -> Answer:
        """Return the likeliest span of ``context``, with its position and its probability. Raises InputError."""
        found: Answer = self._model.answer(question, context)
        return found
