"""What enters each product of a language model on calibration texts, one layer at a time as the layers are written."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.formats.onnx.decoder import gptq
from edgepack.formats.onnx.graph import Array
from edgepack.original.decoder import Reference, together
from edgepack.parallel import alone

_ENOUGH = 32  # sequences; the gain of more is lost in the noise


class Calibration:
    """``factors(name)`` for the products "layers.{i}.attention.qkv", … in the order of the layers.

    ``ids`` are int64 [sequences, tokens] each; the original runs over the first of them layer by layer, and only what
    the latest layer gave is held.
    """

    def __init__(self, reference: Reference, ids: Sequence[Array], width: int) -> None:
        self._reference, self._width = reference, max(width, gptq.STRETCH)
        self._ids = together(ids[:_ENOUGH])
        self._states = [np.empty(0)] * len(self._ids)
        self._tokens = sum(batch.size for batch in self._ids)
        self._reached = -1
        self._sums: dict[str, Array] = {}

    def factors(self, name: str) -> Array | None:
        """float32 [stretches, width, width]; None without calibration texts, and for what lies outside the layers."""
        if not self._ids or not name.startswith("layers."):
            return None
        while self._reached < int(name.split(".")[1]):
            self._advance()
        with alone():
            return gptq.factors(self._sums.pop(name))

    def _advance(self) -> None:
        self._reached += 1
        self._sums.clear()
        for place, ids in enumerate(self._ids):
            x = self._reference.embedded(ids) if self._reached == 0 else self._states[place]
            self._states[place] = self._reference.layer(x, self._reached, self._watch)

    def _watch(self, name: str, x: Array) -> None:
        rows = x.reshape(-1, x.shape[-1])
        share = gptq.covariance(rows, self._width) * np.float32(len(rows) / self._tokens)
        self._sums[name] = self._sums[name] + share if name in self._sums else share
