"""A language model on a page, token by token; its keys and values stay there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.arrays import Array, Feeds
from edgepack.devices._browsing import Browsing
from edgepack.records import TensorSpec
from edgepack.runtime import graphs
from edgepack.runtime.decoding import Decoding

_PRESENT = "present"


class PageDecoding(Decoding):
    """The submodel ``name`` with these ``inputs``, of at most ``longest`` tokens."""

    def __init__(self, browsing: Browsing, name: str, inputs: Sequence[TensorSpec], longest: int) -> None:
        super().__init__(longest)
        self._browsing, self._name, self._inputs = browsing, name, inputs

    def _run(self, tokens: Sequence[int]) -> Array:
        past = len(self.ids)
        feeds = whole(np.array(tokens, np.int64), past, self._inputs)
        logits = self._browsing.step(self._name, feeds, carry(self._inputs), past)
        self.ids += tokens
        return logits


def whole(ids: Array, past: int, inputs: Sequence[TensorSpec]) -> Feeds:
    """Return the inputs for ``ids`` [tokens] after ``past`` cached ones; keys and values where there are none."""
    length = past + len(ids)
    feeds: Feeds = {
        "input_ids": ids[None],
        "attention_mask": np.ones((1, length), np.int64),
        "position_ids": np.arange(past, length, dtype=np.int64)[None],
        graphs.NUM_LOGITS: np.array(1, np.int64),
    }
    for spec in inputs:
        if spec.name.startswith(graphs.PAST) and not past:
            _, heads, _, size = spec.shape
            feeds[spec.name] = np.zeros((1, int(heads), 0, int(size)), spec.dtype)
    return {spec.name: feeds[spec.name] for spec in inputs if spec.name in feeds}


def carry(inputs: Sequence[TensorSpec]) -> dict[str, str]:
    """Return the output that becomes each input of keys and values in the next run."""
    return {spec.name.replace(graphs.PAST, _PRESENT): spec.name for spec in inputs if spec.name.startswith(graphs.PAST)}
