"""Residuals beside each other (AltUp, Baykal et al. 2023) as operations, on float32 [1, N, count, hidden].

What decides how much of one is in another is small, and stays float32.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  (as everybody calls it)

from edgepack.decoders.altup import LEAST
from edgepack.decoders.altup_weights import AltUpWeights
from edgepack.decoders.matrix import Weight
from edgepack.formats.coreml._mil import Var
from edgepack.formats.coreml.builder.weights import Weights

Normed = Callable[[Var, int], Var]  # of what the shares of a layer's residuals hang on


class AltUpOperations:
    """Writes what stands before, between and after layers."""

    def __init__(self, found: AltUpWeights, weights: Weights, normed: Normed) -> None:
        self.found, self.weights, self.normed = found, weights, normed
        self.count, self.hidden = found.altup.count, found.hidden

    def enter(self, x: Var) -> Var:
        """Return the residuals that the first layer reads, of what is embedded, float32 [1, N, hidden]."""
        made = self._product(x, self.found.enter(), "altup_in")
        apart = mb.reshape(x=made, shape=(1, -1, self.count - 1, self.hidden))
        first = mb.expand_dims(x=x, axes=[2])
        return mb.concat(values=[first, _as_long(apart, first, np.float32(LEAST))], axis=2)

    def leave(self, x: Var) -> Var:
        """Return the mean of the residuals, float32 [1, N, hidden].

        They may not fit into the float16 of products, so these are made of their directions.
        """
        first, *others = mb.split(x=x, num_splits=self.count, axis=2)
        total = first
        for place, (other, matrix) in enumerate(zip(others, self.found.leave(), strict=True), 1):
            square = mb.maximum(x=_square(other), y=np.float32(LEAST))
            direction = mb.real_div(x=other, y=mb.sqrt(x=square))
            made = self._product(direction, matrix, f"altup_{place}.altup_out")
            total = mb.add(x=total, y=_as_long(made, first, mb.real_div(x=np.float32(LEAST), y=square)))
        return mb.squeeze(x=mb.mul(x=total, y=np.float32(1 / self.count)), axes=[2])

    def predicted(self, x: Var, layer: int) -> Var:
        """Return the residuals as the layer expects them."""
        shares = self._shares(self.active(x), layer)
        made = self._small(shares, self.found.prediction(layer), f"layers.{layer}.altup.prediction")
        square = mb.reshape(x=made, shape=(1, -1, self.count, self.count))
        return mb.add(x=mb.matmul(x=square, y=x), y=x)

    def active(self, x: Var) -> Var:
        """Return the residual that the layer computes, float32 [1, N, hidden]."""
        return mb.squeeze(x=mb.split(x=x, num_splits=self.count, axis=2)[self.found.altup.active], axes=[2])

    def corrected(self, x: Var, made: Var, layer: int) -> Var:
        """Return the predictions ``x``, moved by what the layer ``made`` of the active one."""
        found = self._small(self._shares(made, layer), self.found.correction(layer), f"layers.{layer}.altup.correction")
        rows = mb.expand_dims(x=mb.add(x=found, y=np.float32(1)), axes=[-1])
        moved = mb.expand_dims(x=mb.sub(x=made, y=self.active(x)), axes=[2])
        return mb.add(x=x, y=mb.mul(x=moved, y=rows))

    def gateable(self, x: Var, layer: int) -> Var:
        """Return the active residual, as the layer's own vector gates it."""
        first, scale = self.active(x), self.found.scale(layer)
        return first if scale is None else mb.mul(x=first, y=self.weights.plain(f"layers.{layer}.altup.scale", scale))

    def spread(self, x: Var, branch: Var) -> Var:
        """Return the residuals with ``branch`` added to all but the first."""
        others = np.ones((1, 1, self.count, 1), np.float32)
        others[:, :, 0] = 0
        return mb.add(x=x, y=mb.mul(x=mb.expand_dims(x=branch, axes=[2]), y=others))

    def _shares(self, x: Var, layer: int) -> Var:
        """Return what the shares of the residuals hang on, float32 [1, N, count]."""
        return mb.tanh(x=self._small(self.normed(x, layer), self.found.router(layer), f"layers.{layer}.altup.router"))

    def _small(self, x: Var, matrix: Weight, name: str) -> Var:
        stored = self.weights.plain(f"{name}.weight", matrix.rows(0, matrix.shape[0]))
        return mb.matmul(x=x, y=stored, transpose_y=True)

    def _product(self, x: Var, matrix: Weight, name: str) -> Var:
        return mb.cast(x=self.weights.linear(mb.cast(x=x, dtype="fp16"), matrix, name), dtype="fp32")


def _as_long(x: Var, first: Var, least: Var | np.float32) -> Var:
    """Return ``x`` as long as ``first``, its own mean square taken for ``least`` where it is below."""
    length = mb.sqrt(x=mb.maximum(x=_square(x), y=least))
    return mb.mul(x=x, y=mb.real_div(x=mb.sqrt(x=_square(first)), y=length))


def _square(x: Var) -> Var:
    """Return the mean square over the last dimension, which stays."""
    return mb.reduce_mean(x=mb.square(x=x), axes=[-1], keep_dims=True)
