"""Linear attention as nodes: com.microsoft's CausalConvWithState and LinearAttention, over states of one size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import onnx_ir as ir

from edgepack.decoders.checkpoint import Checkpoint
from edgepack.decoders.linear import Linear
from edgepack.decoders.linear_weights import LinearWeights
from edgepack.formats.onnx._graph import CONTRIB
from edgepack.formats.onnx.builder.activations import activated
from edgepack.formats.onnx.builder.sequences import BATCH, FLOAT, Sequences
from edgepack.formats.onnx.builder.weights import Weights

OPERATORS = ("CausalConvWithState", "LinearAttention")
_SMALLEST = 1e-6  # added to the squared length of a query or a key


class LinearAttention:
    """Writes the linear attention of each layer.

    Its states are what its convolution needs of the latest tokens, [batch, mixed, kernel - 1], and what it knows of
    all, [batch, value heads, key head, value head].
    """

    def __init__(self, checkpoint: Checkpoint, weights: Weights, sequences: Sequences) -> None:
        self.g, self.checkpoint, self.weights, self.sequences = weights.g, checkpoint, weights, sequences

    def __call__(self, x: ir.Value, layer: int) -> ir.Value:
        """Return the branch of ``x`` [batch, new, hidden]."""
        found, name = self.checkpoint.linear(layer), f"layers.{layer}.linear"
        assert found is not None  # such a layer has it
        sizes, x = found.linear, self.sequences.unpadded(x)
        made = self.weights.linear(x, found.inputs(), f"{name}.qkv")
        mixing, gate = self._split(made, name, ("mixing", "gate"), (sizes.mixed, sizes.values))
        q, k, v = self._split(self._mixed(mixing, found), name, "qkv", (sizes.keys, sizes.keys, sizes.values))
        seen = self._recurred(self._unit(q, sizes), self._unit(k, sizes), v, self._rates(x, found), found)
        weight = self.weights.plain(f"{name}.norm.weight", found.norm())
        normed = self._normed(seen, weight, self.checkpoint.decoder.norm.epsilon)
        gated = self.g.op("Mul", normed, activated(self.g, gate, "silu", f"{name}.open"), name=f"{name}.gated")
        return self.weights.linear(gated, found.out(), f"{name}.out")

    def _mixed(self, x: ir.Value, found: LinearWeights) -> ir.Value:
        """Return queries, keys and values after the convolution and its activation, [batch, new, mixed]."""
        g, name, layer = self.g, f"layers.{found.layer}.linear", found.layer
        shape = (BATCH, *found.linear.tail)
        tail = g.input(f"past_key_values.{layer}.conv", FLOAT, shape)
        kernel = self.weights.plain(f"{name}.kernel", found.kernel()[:, None])
        columns = g.op("Transpose", x, name=f"{name}.columns", perm=[0, 2, 1])
        mixed, kept = g.ops(
            "CausalConvWithState", columns, kernel, None, tail, names=(f"{name}.mixed", f"present.{layer}.conv"),
            domain=CONTRIB, activation="silu",
        )  # fmt: skip
        g.output(kept, f"present.{layer}.conv", FLOAT, shape)
        return g.op("Transpose", mixed, name=f"{name}.rows", perm=[0, 2, 1])

    def _rates(self, x: ir.Value, found: LinearWeights) -> tuple[ir.Value, ir.Value]:
        """Return the logarithm of what is kept, and the share that is written, [batch, new, value heads] each."""
        g, name, heads = self.g, f"layers.{found.layer}.linear", found.linear.value_heads
        made = self.weights.linear(x, found.rates(), f"{name}.rates", whole=True)
        written, step = self._split(made, name, ("rate", "step"), (heads, heads))
        moved = g.op("Add", step, self.weights.plain(f"{name}.step_bias", found.step()), name=f"{name}.moved")
        decay = self.weights.plain(f"{name}.decay", found.decay())
        kept = g.op("Mul", g.op("Softplus", moved, name=f"{name}.size"), decay, name=f"{name}.kept")
        return kept, g.op("Sigmoid", written, name=f"{name}.written")

    def _recurred(self, q: ir.Value, k: ir.Value, v: ir.Value, rates: tuple[ir.Value, ir.Value],
                  found: LinearWeights) -> ir.Value:  # fmt: skip
        """Return what each token reads of all up to it, [batch, new, values]."""
        g, sizes, layer = self.g, found.linear, found.layer
        shape = (BATCH, *sizes.state)
        state = g.input(f"past_key_values.{layer}.recurrent", FLOAT, shape)
        seen, kept = g.ops(
            "LinearAttention", q, k, v, state, *rates,
            names=(f"layers.{layer}.linear.seen", f"present.{layer}.recurrent"),
            domain=CONTRIB,
            q_num_heads=sizes.key_heads,
            kv_num_heads=sizes.value_heads,
            update_rule="gated_delta",
            scale=sizes.key_head**-0.5,
        )  # fmt: skip
        g.output(kept, f"present.{layer}.recurrent", FLOAT, shape)
        return seen

    def _unit(self, part: ir.Value, sizes: Linear) -> ir.Value:
        """Return each head of queries or keys at the length 1: a norm whose weight takes the root of the width off."""
        width = sizes.key_head
        weight = self.weights.plain(f"unit.{width}", np.full(width, width**-0.5, np.float32), made=True)
        return self._normed(part, weight, _SMALLEST / width)

    def _normed(self, part: ir.Value, weight: ir.Value, epsilon: float) -> ir.Value:
        """Return heads, joined, each normed for itself by ``weight`` [head]."""
        g, name = self.g, part.name
        assert weight.shape is not None
        width = int(weight.shape[0])
        heads = g.op("Reshape", part, g.constant(f"by_{width}", np.array([0, 0, -1, width], np.int64)),
                     name=f"{name}.heads")  # fmt: skip
        normed = g.op("SimplifiedLayerNormalization", heads, weight, name=f"{name}.unit", axis=-1, epsilon=epsilon)
        return g.op("Reshape", normed, g.constant("joined", np.array([0, 0, -1], np.int64)), name=f"{name}.normed")

    def _split(self, x: ir.Value, name: str, parts: Iterable[str], sizes: Sequence[int]) -> tuple[ir.Value, ...]:
        named = self.g.constant(f"sizes_{'_'.join(map(str, sizes))}", np.array(sizes, np.int64))
        return self.g.ops("Split", x, named, names=tuple(f"{name}.{part}" for part in parts), axis=-1)
