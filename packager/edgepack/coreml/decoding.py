"""A language model's package token by token, its keys and values in the package's state."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from edgepack.coreml.text import Model, Text
from edgepack.runtime import decoding


class Decoding(decoding.Decoding):
    """``prefill`` and ``step`` of runtime/decoding.py.

    Each call tells the package where the new tokens lie, so that forgetting some costs nothing.
    """

    def __init__(self, model: Model, longest: int) -> None:
        self.ids: list[int] = []
        self.lock = threading.RLock()
        self.longest = self.capacity = longest
        self.known = 0
        self._text, self._state = Text(model), model.state()
        self._logits = np.zeros(0, np.float32)

    def _run(self, tokens: Sequence[int]) -> None:
        self._logits = self._text(np.array(tokens), len(self.ids), self._state)[-1]
        self.ids += tokens
