"""Short gated convolutions as nodes of the standard operators, over a state of the last tokens."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgepack.decoders.checkpoint import Checkpoint
from edgepack.formats.onnx.builder.sequences import BATCH, FLOAT, Sequences
from edgepack.formats.onnx.builder.weights import Weights

_TO_THE_END = np.iinfo(np.int64).max


class Convolution:
    """Writes the convolution of each layer; its state is what it mixed of the last tokens, [batch, hidden, width]."""

    def __init__(self, checkpoint: Checkpoint, weights: Weights, sequences: Sequences) -> None:
        self.g, self.checkpoint, self.weights, self.sequences = weights.g, checkpoint, weights, sequences

    def __call__(self, x: ir.Value, layer: int) -> ir.Value:
        """Return the branch of ``x`` [batch, new, hidden]."""
        g, name = self.g, f"layers.{layer}.convolution"
        d = self.checkpoint.decoder.at(layer)
        shape = (BATCH, d.hidden, d.convolution)
        state = g.input(f"past_key_values.{layer}.conv", FLOAT, shape)
        made = self.weights.linear(x, self.checkpoint.conv_in(layer), f"{name}.conv_in")
        sizes = g.constant("conv_sizes", np.array([d.hidden] * 3, np.int64))
        parts = tuple(f"{name}.{part}" for part in ("before", "behind", "input"))
        before, behind, entering = g.ops("Split", made, sizes, names=parts, axis=-1)
        gated = self.sequences.unpadded(g.op("Mul", before, entering, name=f"{name}.gated"))
        columns = g.op("Transpose", gated, name=f"{name}.columns", perm=[0, 2, 1])
        joined = g.op("Concat", state, columns, name=f"{name}.joined", axis=2)
        kept = g.op("Slice", joined, *self._span(-d.convolution), name=f"present.{layer}.conv")
        g.output(kept, f"present.{layer}.conv", FLOAT, shape)
        mixed = g.op("Slice", self._mixed(joined, layer), *self._span(1), name=f"{name}.new")  # the first is known
        rows = g.op("Transpose", mixed, name=f"{name}.rows", perm=[0, 2, 1])
        out = g.op("Mul", behind, rows, name=f"{name}.result")
        return self.weights.linear(out, self.checkpoint.conv_out(layer), f"{name}.conv_out")

    def _mixed(self, joined: ir.Value, layer: int) -> ir.Value:
        """Return each channel's convolution, one token fewer than the state and the new ones make possible."""
        name = f"layers.{layer}.convolution"
        kernel, bias = self.checkpoint.conv_kernel(layer)
        stored = [self.weights.plain(f"{name}.kernel", kernel[:, None])]
        stored += [] if bias is None else [self.weights.plain(f"{name}.kernel_bias", bias)]
        return self.g.op("Conv", joined, *stored, name=f"{name}.mixed", group=len(kernel))

    def _span(self, start: int) -> tuple[ir.Value, ...]:
        """Return the inputs of a Slice of the last dimension, from ``start`` on."""
        entries = (("start", start), ("to_the_end", _TO_THE_END), ("axis", 2))
        return tuple(self.g.constant(f"conv_{key}_{value}", np.array([value], np.int64)) for key, value in entries)
