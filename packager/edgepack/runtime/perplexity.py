"""How a language model is surprised by a text: the figures behind its perplexity.

The sliding window of transformers' guide "Perplexity of fixed-length models": every token has as much context as
``length - stride`` guarantees, and is counted once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import numpy as np

from edgepack.arrays import Array
from edgepack.errors import UsageError

Logits = Callable[[Array, int], Array]  # (ids [batch, tokens], the first place wanted) -> [batch, places, vocabulary]
_FLOATS = 1 << 25  # logits that are held at once
_MOST = 8  # windows at once
_ROWS = 64  # tokens whose probabilities are worked out at once


class Windows:
    """Iterates over (ids, tokens scored): the windows of ``body``, each with ``opening`` before it.

    Raises UsageError where ``stride`` leaves tokens out.
    """

    def __init__(self, body: Sequence[int], opening: Sequence[int], length: int, stride: int) -> None:
        room = length - len(opening)
        if not 0 < stride <= room:
            raise UsageError(
                f"windows of {length} tokens with a stride of {stride}", hint=f"it must be 1 to {max(room, 1)}"
            )
        self._body, self._opening, self._room, self._stride = list(body), list(opening), room, stride

    def __iter__(self) -> Iterator[tuple[list[int], int]]:
        """Yield the first token of a window can only be scored where an opening is before it."""
        done = 0
        for start in range(0, len(self._body), self._stride):
            part = self._body[start : start + self._room]
            fresh = start + len(part) - done
            done += fresh
            scored = min(fresh, len(part) + len(self._opening) - 1)
            if scored:
                yield [*self._opening, *part], scored
            if done == len(self._body):
                return


def negative_log_likelihoods(logits: Logits, windows: Windows, vocabulary: int) -> Array:
    """Return negative log likelihoods in nats, float64, in the order of the text; a few windows of one kind run at
    once.
    """
    found = []
    for (length, scored), alike in groupby(windows, lambda window: (len(window[0]), window[1])):
        ids = np.array([window for window, _ in alike], np.int64)
        batch = min(max(_FLOATS // (length * vocabulary), 1), _MOST)
        for start in range(0, len(ids), batch):
            some = ids[start : start + batch]
            before = logits(some, length - 1 - scored)
            found += [_surprise(row, window, scored) for row, window in zip(before, some, strict=True)]
    return np.concatenate(found) if found else np.zeros(0)


def _surprise(logits: Array, ids: Array, scored: int) -> Array:
    """Score the last ``scored`` ids by the logits of the places before them (the last place predicts nothing here)."""
    before, targets = logits[-1 - scored : -1], ids[-scored:]
    pieces = []
    for start in range(0, scored, _ROWS):
        rows, wanted = before[start : start + _ROWS], targets[start : start + _ROWS]
        most = rows.max(axis=-1, keepdims=True)
        total = np.exp(rows - most).sum(axis=-1, dtype=np.float64)
        pieces.append(np.log(total) - (rows[np.arange(len(rows)), wanted] - most[:, 0]))
    return np.concatenate(pieces)
