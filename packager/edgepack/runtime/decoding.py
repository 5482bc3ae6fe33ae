"""A language model token by token, over a cache of keys and values."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import takewhile

from edgepack.arrays import Array
from edgepack.errors import InputError

CHUNK = 256  # tokens of a prompt at once: attention's scores take heads x chunk x total floats


class Decoding(ABC):
    """``prefill(ids)`` and ``step(id)``: logits of the next token, float32 [vocabulary].

    The logits lie in memory that the next call overwrites: threads that share it hold its ``lock`` until they have used
    them. ``ids`` are the tokens in the cache, at most ``longest``;
    a list of its own after every prefill and rewind.
    """

    def __init__(self, longest: int, chunk: int = CHUNK) -> None:
        self.ids: list[int] = []
        self.lock = threading.RLock()  # held from the tokens given to the use of the logits
        self.longest = longest
        self.known = 0  # tokens of the last prefill that needed no processing
        self._chunk = chunk

    def prefill(self, ids: Sequence[int]) -> Array:
        """Return the logits after ``ids``, which is all that the cache then holds; only what it lacked is processed.

        Raises InputError for no ids, or more than ``longest``.
        """
        if not 0 < len(ids) <= self.longest:
            raise InputError(f"{len(ids):,} tokens; the model takes 1 to {self.longest:,}")
        self.rewind(min(_alike(self.ids, ids), len(ids) - 1))  # one token at least gives the logits
        self.known = len(self.ids)
        for start in range(self.known, len(ids), self._chunk):
            logits = self._run(ids[start : start + self._chunk])
        return logits

    def step(self, token: int) -> Array:
        """Return the logits after one more token. Raises InputError where the cache is full."""
        if len(self.ids) == self.longest:
            raise InputError(f"the model takes {self.longest:,} tokens at most")
        return self._run((token,))

    def rewind(self, length: int) -> None:
        """Forget all but the first ``length`` tokens, or more where what is kept of them cannot be cut anywhere."""
        self.ids = self.ids[:length]

    def reserve(self, length: int) -> None:
        """Make room for ``length`` tokens in advance, where the cache grows."""
        return None

    @abstractmethod
    def _run(self, tokens: Sequence[int]) -> Array:
        """Process ``tokens`` after those in the cache and add them to ``ids``; the logits after the last."""


def _alike(a: Sequence[int], b: Sequence[int]) -> int:
    """Return how many ids the two begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))
