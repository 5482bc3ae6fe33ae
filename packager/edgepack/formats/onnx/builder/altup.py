"""Residuals beside each other (AltUp, Baykal et al. 2023) as nodes, on [batch, new, count, hidden].

What decides how much of one is in another is small, and stays float32.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgepack.decoders.altup import LEAST
from edgepack.decoders.altup_weights import AltUpWeights
from edgepack.formats.onnx.builder.norms import Norms


class AltUpNodes:
    """Writes what stands before, between and after layers."""

    def __init__(self, norms: Norms, found: AltUpWeights) -> None:
        self.g, self.weights, self.norms, self.found = norms.g, norms.weights, norms, found
        self.count, self.hidden = found.altup.count, found.hidden

    def enter(self, x: ir.Value) -> ir.Value:
        """Return the residuals that the first layer reads, of what is embedded, [batch, new, hidden]."""
        made = self.weights.linear(x, self.found.enter(), "altup_in")
        sides = self._shape("altup_apart", self.count - 1, self.hidden)
        return self._as_long(x, self.g.op("Reshape", made, sides, name="altup_in.apart"), "altup_in")

    def leave(self, x: ir.Value) -> ir.Value:
        """Return the mean of the residuals, [batch, new, hidden]."""
        g = self.g
        first, *others = (self._place(x, place, f"altup.{place}") for place in range(self.count))
        made = [
            self._column(self.weights.linear(other, matrix, f"altup_{place}.altup_out"))
            for place, (other, matrix) in enumerate(zip(others, self.found.leave(), strict=True), 1)
        ]
        joined = made[0] if len(made) == 1 else g.op("Concat", *made, name="altup_out.joined", axis=2)
        total = g.op("ReduceSum", self._as_long(first, joined, "altup_out"), self._axis(), name="altup_out.total",
                     keepdims=0)  # fmt: skip
        return g.op("Mul", total, self._number("altup_share", 1 / self.count), name="altup_out.mean")

    def predicted(self, x: ir.Value, layer: int) -> ir.Value:
        """Return the residuals as the layer expects them."""
        g, name = self.g, f"layers.{layer}.altup.predicted"
        shares = self._shares(self._place(x, self.found.altup.active, f"{name}.active"), layer, name)
        made = self.weights.linear(shares, self.found.prediction(layer), f"{name}.shares", whole=True)
        square = g.op("Reshape", made, self._shape("altup_square", self.count, self.count), name=f"{name}.square")
        return g.op("Add", g.op("MatMul", square, x, name=f"{name}.mixed"), x, name=name)

    def active(self, x: ir.Value, layer: int, what: str) -> ir.Value:
        """Return the residual that the layer computes, [batch, new, hidden]."""
        return self._place(x, self.found.altup.active, f"layers.{layer}.altup.{what}")

    def corrected(self, x: ir.Value, made: ir.Value, layer: int) -> ir.Value:
        """Return the predictions ``x``, moved by what the layer ``made`` of the active one."""
        g, name = self.g, f"layers.{layer}.altup.corrected"
        shares = self._shares(made, layer, name)
        found = self.weights.linear(shares, self.found.correction(layer), f"{name}.shares", whole=True)
        more = g.op("Add", found, self._number("one", 1), name=f"{name}.more")
        rows = g.op("Unsqueeze", more, g.constant("axis_last", np.array([-1])), name=f"{name}.rows")
        moved = self._column(g.op("Sub", made, self.active(x, layer, "expected"), name=f"{name}.moved"))
        return g.op("Add", x, g.op("Mul", moved, rows, name=f"{name}.moves"), name=name)

    def gateable(self, x: ir.Value, layer: int) -> ir.Value:
        """Return the active residual, as the layer's own vector gates it."""
        first, scale = self.active(x, layer, "first"), self.found.scale(layer)
        if scale is None:
            return first
        name = f"layers.{layer}.altup.scaled"
        return self.g.op("Mul", first, self.weights.plain(f"{name}.weight", scale), name=name)

    def spread(self, x: ir.Value, branch: ir.Value, layer: int) -> ir.Value:
        """Return the residuals with ``branch`` added to all but the first."""
        others = np.ones((self.count, 1), np.float32)
        others[0] = 0
        name = f"layers.{layer}.altup.others"
        added = self.g.op("Mul", self._column(branch), self.g.constant("altup_others", others), name=name)
        return self.g.op("Add", x, added, name=f"layers.{layer}.altup")

    def _shares(self, x: ir.Value, layer: int, name: str) -> ir.Value:
        """Return what the shares of the residuals hang on, [batch, new, count]."""
        path = self.norms.d.names.altup_norm
        normed = self.norms.norm(x, path, layer, f"{name}.normed")
        routed = self.weights.linear(normed, self.found.router(layer), f"{name}.router", whole=True)
        return self.g.op("Tanh", routed, name=f"{name}.routed")

    def _as_long(self, first: ir.Value, others: ir.Value, name: str) -> ir.Value:
        """Return ``first`` and, each as long as it, ``others`` [batch, new, residuals, hidden]."""
        g, column = self.g, self._column(first)
        wanted = g.op("Sqrt", self._square(column, f"{name}.first"), name=f"{name}.wanted")
        least = g.op("Max", self._square(others, f"{name}.others"), self._number("altup_least", LEAST),
                     name=f"{name}.least")  # fmt: skip
        factor = g.op("Div", wanted, g.op("Sqrt", least, name=f"{name}.length"), name=f"{name}.factor")
        return g.op("Concat", column, g.op("Mul", others, factor, name=f"{name}.as_long"), name=f"{name}.all", axis=2)

    def _square(self, x: ir.Value, name: str) -> ir.Value:
        """Return the mean square over the last dimension, which stays."""
        g = self.g
        squares = g.op("Mul", x, x, name=f"{name}.squares")
        total = g.op("ReduceSum", squares, g.constant("axis_last", np.array([-1])), name=f"{name}.total", keepdims=1)
        return g.op("Mul", total, self._number("altup_width", 1 / self.hidden), name=f"{name}.square")

    def _column(self, x: ir.Value) -> ir.Value:
        return self.g.op("Unsqueeze", x, self._axis(), name=f"{x.name}.column")

    def _place(self, x: ir.Value, place: int, name: str) -> ir.Value:
        return self.g.op("Gather", x, self.g.constant(f"place_{place}", np.array(place)), name=name, axis=2)

    def _axis(self) -> ir.Value:
        return self.g.constant("axis_2", np.array([2]))

    def _number(self, name: str, value: float) -> ir.Value:
        return self.g.constant(name, np.array(value, np.float32))

    def _shape(self, name: str, rows: int, width: int) -> ir.Value:
        return self.g.constant(name, np.array([0, 0, rows, width], np.int64))
