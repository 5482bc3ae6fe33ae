"""Inputs of each product of a language model on calibration texts, one layer at a time as the layers are written."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.arrays import Array
from edgepack.original.decoder import Reference
from edgepack.parallel import alone
from edgepack.quantization import gptq

_ENOUGH = 32  # sequences; the gain of more is lost in the noise


class Calibration:
    """``feedback(name)`` or ``together(name)`` of the products "layers.{i}.attention.qkv", … in the layers' order.

    ``ids`` are int64 [sequences, tokens] each; the original runs over the first of them layer by layer, and only what
    the latest layer gave is held.
    """

    def __init__(self, reference: Reference, ids: Sequence[Array], width: int) -> None:
        self._width = max(width, gptq.GROUP)
        texts = list(ids[:_ENOUGH])
        self._tokens = sum(batch.size for batch in texts)
        self._walk = reference.walk(texts, self._watch)
        self._reached = -1
        self._sums: dict[str, Array] = {}

    def feedback(self, name: str) -> list[Array] | None:
        """Return gptq.feedback; None for what lies outside the layers, and for what experts end with."""
        covariance = self.covariance(name)
        return None if covariance is None else gptq.feedback(covariance)

    def covariance(self, name: str) -> Array | None:
        """Return how the inputs vary together, gptq.covariance over all texts; None as above. It is forgotten then."""
        if not name.startswith("layers."):
            return None
        while self._reached < int(name.split(".")[1]):
            self._sums.clear()
            self._reached = next(self._walk)
        return self._sums.pop(name, None)

    def _watch(self, name: str, x: Array) -> None:
        rows = x.reshape(-1, x.shape[-1])
        with alone():
            share = gptq.covariance(rows, self._width) * np.float32(len(rows) / self._tokens)
        self._sums[name] = self._sums[name] + share if name in self._sums else share
