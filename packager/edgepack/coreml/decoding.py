"""A language model's package token by token, its keys and values in the package's state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.coreml.package import Package
from edgepack.runtime import decoding
from edgepack.runtime.types import Array

IDS, MASK = "inputIds", "causalMask"  # as swift-transformers names them
_UNSEEN = np.float16(-3e4)  # that float16 holds, also beside a score


class Decoding(decoding.Decoding):
    """``prefill`` and ``step`` of runtime/decoding.py.

    The mask's width tells the package where the new tokens lie, so that forgetting some costs nothing.
    """

    def __init__(self, package: Package, longest: int) -> None:
        self.ids: list[int] = []
        self.longest = self.capacity = longest
        self.known = 0
        self._package, self._state = package, package.state()
        self._logits = np.zeros(0, np.float32)

    def _run(self, tokens: Sequence[int]) -> None:
        feeds = step(np.array(tokens), len(self.ids))
        self._logits = np.asarray(self._package(feeds, state=self._state)["logits"][0, -1], np.float32)
        self.ids += tokens


def step(ids: Array, past: int) -> dict[str, Array]:
    """The inputs for ``ids`` [tokens] after ``past`` tokens in the state."""
    mask = np.triu(np.full((len(ids), past + len(ids)), _UNSEEN), past + 1)
    return {IDS: ids[None].astype(np.int32), MASK: mask[None, None]}
