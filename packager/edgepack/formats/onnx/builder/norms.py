"""The norms of a decoder as nodes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgepack.arrays import Array
from edgepack.decoders import Decoder
from edgepack.decoders.checkpoint import Checkpoint
from edgepack.formats.onnx._graph import CONTRIB
from edgepack.formats.onnx.builder.weights import Weights


class Norms:
    """Writes the norms of ``checkpoint``, each of whose weights is stored once."""

    def __init__(self, checkpoint: Checkpoint, weights: Weights) -> None:
        self.g, self.checkpoint, self.weights = weights.g, checkpoint, weights
        self.d: Decoder = checkpoint.decoder
        self._op = "SimplifiedLayerNormalization" if self.d.norm.kind == "rms" else "LayerNormalization"

    def norm(self, x: ir.Value, path: str, layer: int, name: str = "") -> ir.Value:
        """Return the norm of that path over the last dimension, called ``name`` where the layer has several."""
        own, weights = self._weights(path, layer)
        return self.g.op(self._op, x, *weights, name=name or own, axis=-1, epsilon=self.d.norm.epsilon)

    def add_norm(self, x: ir.Value, branch: ir.Value | None, path: str, layer: int) -> tuple[ir.Value, ir.Value]:
        """Return x + branch, and its norm, in one node."""
        if branch is None:
            return x, self.norm(x, path, layer)
        name, weights = self._weights(path, layer)
        normed, _, _, total = self.g.ops(
            f"Skip{self._op}", x, branch, *weights,
            names=(name, "", "", f"{name}.sum"), domain=CONTRIB, epsilon=self.d.norm.epsilon,
        )  # fmt: skip
        return total, normed

    def _weights(self, path: str, layer: int) -> tuple[str, list[ir.Value]]:
        name = path.format(i=layer)
        weight, bias = self.checkpoint.norm(path, layer)
        if weight is None:
            of_head = path in (self.d.names.query_norm, self.d.names.key_norm)
            return name, [self._ones(self.d.head_dim if of_head else self.d.hidden)]
        parts = [("weight", weight)] + ([("bias", bias)] if bias is not None else [])
        return name, [self.weights.plain(f"{name}.{part}", array) for part, array in parts]

    def _ones(self, width: int) -> ir.Value:
        """Return the weight of a norm that has none."""
        return self.weights.plain(f"ones.{width}", np.ones(width, np.float32), made=True)

    def unit(self, x: ir.Value, width: int, name: str) -> ir.Value:
        """Return a norm without a weight over the last dimension, which is ``width``."""
        return self.g.op(self._op, x, self._ones(width), name=name, axis=-1, epsilon=self.d.norm.epsilon)

    def weighed(self, x: ir.Value, weight: Array, name: str) -> ir.Value:
        """Return a norm with ``weight`` [width] over the last dimension."""
        stored = self.weights.plain(f"{name}.weight", weight)
        return self.g.op(self._op, x, stored, name=name, axis=-1, epsilon=self.d.norm.epsilon)

    def own(self, heads: ir.Value, path: str, layer: int) -> ir.Value:
        """Return every head normed by a weight of its own."""
        name = path.format(i=layer, h="all")
        weight, _ = self.checkpoint.norm(path, layer)
        assert weight is not None  # heads with weights of their own have some
        unit = self.g.op(self._op, heads, self._ones(self.d.head_dim), name=f"{name}.unit", axis=-1,
                         epsilon=self.d.norm.epsilon)  # fmt: skip
        return self.g.op("Mul", unit, self.weights.plain(f"{name}.weight", weight), name=name)
