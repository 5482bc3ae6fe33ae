"""Write a decoder's graph from its description, one weight at a time.

The layout is what ONNX Runtime runs fastest: packed q, k, v into GroupQueryAttention with the rotary embedding inside
it, norms that add the residual, and the head for those tokens alone whose logits are wanted (sequences.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgepack.decoders import Decoder, order
from edgepack.decoders.checkpoint import Checkpoint
from edgepack.formats.onnx.builder.activations import activated, cut_off
from edgepack.formats.onnx.builder.altup import AltUpNodes
from edgepack.formats.onnx.builder.attention import Attention
from edgepack.formats.onnx.builder.convolution import Convolution
from edgepack.formats.onnx.builder.experts import experts
from edgepack.formats.onnx.builder.linear import LinearAttention
from edgepack.formats.onnx.builder.norms import Norms
from edgepack.formats.onnx.builder.sequences import BATCH, FLOAT, PAST, Sequences
from edgepack.formats.onnx.builder.weights import Weights


@dataclass
class _Sum:
    """A residual and a branch that is not added to it yet: the next norm does both in one node."""

    x: ir.Value
    branch: ir.Value | None = None


class Emitter:
    """``emit()`` fills the builder of ``weights`` with the decoder of ``checkpoint``, for ``context`` tokens at most.

    ``sequences`` are its inputs but for the cache.
    """

    def __init__(self, checkpoint: Checkpoint, weights: Weights, sequences: Sequences, context: int) -> None:
        self.g, self.checkpoint, self.weights, self.sequences = weights.g, checkpoint, weights, sequences
        self.d: Decoder = checkpoint.decoder
        self._norms = Norms(checkpoint, weights)
        self._attention = Attention(self._norms, sequences, context)
        self._convolution = Convolution(checkpoint, weights, sequences)
        if checkpoint.altup:
            self._altup = AltUpNodes(self._norms, checkpoint.altup)
        self._linear = LinearAttention(checkpoint, weights, sequences)

    def emit(self) -> None:
        """Emit every layer, from ids to logits."""
        self._pasts = {layer: self._past(layer) for layer in self.d.caching}
        self._ids = self._read_as(self.sequences.ids)
        x = _Sum(self._embed())
        self._inputs = self._layer_inputs(x.x) if self.d.layer_width else ()
        x = _Sum(self._altup.enter(x.x)) if self.d.altup else x
        for layer in range(self.d.layers):
            x = order.through(self, self.d, x, layer)
        x = _Sum(self._altup.leave(self._whole(x))) if self.d.altup else x
        last = self.norm(x, self.d.names.final, 0) if self.d.names.final else x
        self._logits(*self.sequences.wanted(self._whole(last)))

    def _past(self, layer: int) -> tuple[ir.Value, ir.Value]:
        d = self.d.at(layer)
        shape = (BATCH, d.kv_heads, PAST, d.cached_head)
        key, value = (self.g.input(f"past_key_values.{layer}.{part}", FLOAT, shape) for part in ("key", "value"))
        return key, value

    def _read_as(self, ids: ir.Value) -> ir.Value:
        """Return ``ids``, with padding in the place of the tokens of images and sounds."""
        for token in self.d.strangers:
            found = self.g.op("Equal", ids, self.g.constant(f"token_{token}", np.array(token)), name=f"is_{token}")
            padding = self.g.constant("padding_id", np.array(self.d.padding))
            ids = self.g.op("Where", found, padding, ids, name=f"ids_without_{token}")
        return ids

    def _embed(self) -> ir.Value:
        x = self.weights.gather(self._ids, self.checkpoint.embedding(), "embedding")
        if self.d.embedding_scale != 1.0:
            scale = self.g.constant("embedding_scale", np.array(self.d.embedding_scale, np.float32))
            x = self.g.op("Mul", x, scale, name="embedding_scaled")
        project, positions = self.checkpoint.project_in(), self.checkpoint.positions()
        if project is not None:
            x = self.weights.linear(x, project, "project_in")
        if positions is not None and self.sequences.positions is not None:
            places = self.weights.gather(self.sequences.positions, positions, "positions")
            x = self.g.op("Add", x, places, name="embedded")
        return self._norms.norm(x, self.d.names.embedding_norm, 0) if self.d.names.embedding_norm else x

    def _layer_inputs(self, x: ir.Value) -> tuple[ir.Value, ...]:
        """Return the vector of each layer, [batch, new, layer_width], of the ids and of what the first layer reads."""
        d, g, name = self.d, self.g, "layer_inputs"
        rows = self.weights.gather(self._ids_of_layers(), self.checkpoint.layer_inputs(), name)
        made = self.weights.linear(x, self.checkpoint.layer_inputs_projection(), f"{name}_projection")
        by_layer = g.constant("by_layer", np.array([0, 0, d.layers, d.layer_width], np.int64))
        apart = g.op("Reshape", made, by_layer, name=f"{name}.apart")
        joined = g.constant("joined", np.array([0, 0, -1], np.int64))
        normed = g.op("Reshape", self._norms.norm(apart, d.names.layer_inputs_norm, 0), joined, name=f"{name}.normed")
        names = tuple(f"layers.{layer}.input" for layer in range(d.layers))
        sizes = g.constant("input_sizes", np.array([d.layer_width] * d.layers, np.int64))
        return g.ops("Split", g.op("Add", normed, rows, name=f"{name}.sum"), sizes, names=names, axis=-1)

    def _ids_of_layers(self) -> ir.Value:
        """Return the ids that have vectors of layers; the first one in the place of any other."""
        g, ids, rows = self.g, self._ids, self.d.layer_rows
        if rows in (0, self.d.vocabulary):
            return ids
        known = g.op("Less", ids, g.constant("layer_rows", np.array(rows)), name="ids_known")
        return g.op("Where", known, ids, g.constant("zero_int64", np.array(0)), name="ids_of_layers")

    def _whole(self, x: _Sum) -> ir.Value:
        if x.branch is not None:
            x.x, x.branch = self.g.op("Add", x.x, x.branch, name=f"{x.branch.name}.sum"), None
        return x.x

    def add(self, x: _Sum, branches: Sequence[_Sum], layer: int, *, last: bool) -> _Sum:
        """Return the sum, of which the last addition waits for a norm."""
        values = [self._whole(branch) for branch in branches]
        branch = values[0] if len(values) == 1 else self.g.op("Add", *values, name=f"layers.{layer}.branches")
        return _Sum(self._whole(x), branch)

    def norm(self, x: _Sum, path: str, layer: int) -> _Sum:
        """Return the norm of ``x``, which is a whole sum from then on."""
        x.x, normed = self._norms.add_norm(x.x, x.branch, path, layer)
        x.branch = None
        return _Sum(normed)

    def attention(self, x: _Sum, layer: int) -> _Sum:
        """Return the branch of attention."""
        read = self.d.at(layer).reads
        return _Sum(self._attention(self._whole(x), layer, self._pasts[layer if read is None else read]))

    def convolution(self, x: _Sum, layer: int) -> _Sum:
        """Return the branch of a short convolution."""
        return _Sum(self._convolution(self._whole(x), layer))

    def linear_attention(self, x: _Sum, layer: int) -> _Sum:
        """Return the branch of linear attention."""
        return _Sum(self._linear(self._whole(x), layer))

    def feed_forward(self, x: _Sum, layer: int) -> _Sum:
        """Return the branch of the feed-forward layer."""
        found = self.checkpoint.experts(layer)
        if found and not found.experts.beside:
            return self.experts(x, x, layer)
        d, g, name = self.d.at(layer), self.g, f"layers.{layer}.mlp"
        made = self.weights.linear(self._whole(x), self.checkpoint.gate_up(layer), f"{name}.inner")
        if d.gated:
            doubled = "" if d.intermediate == self.d.intermediate else f"_{d.intermediate}"
            sizes = g.constant(f"inner_sizes{doubled}", np.array([d.intermediate, d.intermediate], np.int64))
            gate, up = g.ops("Split", made, sizes, names=(f"{name}.gate", f"{name}.up"), axis=-1)
            gate = gate if d.cutoff is None else cut_off(g, gate, d.cutoff, d.intermediate)
            made = g.op("Mul", self._activated(gate, layer, name), up, name=f"{name}.gated")
        else:
            made = self._activated(made, layer, name)
        return _Sum(self.weights.linear(made, self.checkpoint.down(layer), f"{name}.down"))

    def experts(self, x: _Sum, routed: _Sum, layer: int) -> _Sum:
        """Return the branch of experts, whose router reads ``routed``."""
        found = self.checkpoint.experts(layer)
        assert found is not None
        by, weight = self._whole(routed), found.router_norm(layer)
        if weight is not None:
            by = self._norms.weighed(by, weight, f"{found.experts.label(layer)}.router_norm")
        return _Sum(experts(self._whole(x), by, layer, found, self.weights))

    def both(self, x: _Sum, y: _Sum, layer: int) -> _Sum:
        """Return the sum of two branches."""
        return _Sum(self.g.op("Add", self._whole(x), self._whole(y), name=f"layers.{layer}.both"))

    def predicted(self, x: _Sum, layer: int) -> _Sum:
        """Return the residuals beside each other as the layer expects them."""
        return _Sum(self._altup.predicted(self._whole(x), layer))

    def active(self, x: _Sum, layer: int) -> _Sum:
        """Return the residual that the layer computes."""
        return _Sum(self._altup.active(self._whole(x), layer, "active"))

    def low_rank(self, x: _Sum, layer: int) -> _Sum:
        """Return the branch of low rank."""
        inner = self.weights.linear(self._whole(x), self.checkpoint.laurel_down(layer), f"layers.{layer}.laurel_down")
        return _Sum(self.weights.linear(inner, self.checkpoint.laurel_up(layer), f"layers.{layer}.laurel_up"))

    def balanced(self, x: _Sum, y: _Sum, layer: int) -> _Sum:
        """Return the sum of two over the root of two."""
        total = self.g.op("Add", self._whole(x), self._whole(y), name=f"layers.{layer}.augmented")
        root = self.g.constant("root_of_half", np.array(0.5**0.5, np.float32))
        return _Sum(self.g.op("Mul", total, root, name=f"layers.{layer}.balanced"))

    def corrected(self, x: _Sum, made: _Sum, layer: int) -> _Sum:
        """Return the predicted residuals ``x``, moved by what the layer ``made`` of the active one."""
        return _Sum(self._altup.corrected(self._whole(x), self._whole(made), layer))

    def gateable(self, x: _Sum, layer: int) -> _Sum:
        """Return the active residual, as the layer's own vector gates it."""
        return _Sum(self._altup.gateable(self._whole(x), layer))

    def spread(self, x: _Sum, branch: _Sum, layer: int) -> _Sum:
        """Return the residuals with ``branch`` added to all but the first."""
        return _Sum(self._altup.spread(self._whole(x), self._whole(branch), layer))

    def layer_input(self, x: _Sum, layer: int) -> _Sum:
        """Return the branch that the layer's own vector gates."""
        name = f"layers.{layer}.input"
        gate = self.weights.linear(self._whole(x), self.checkpoint.input_gate(layer), f"{name}.inner")
        gated = self.g.op("Mul", self._activated(gate, layer, name), self._inputs[layer], name=f"{name}.gated")
        return _Sum(self.weights.linear(gated, self.checkpoint.input_projection(layer), f"{name}.down"))

    def scaled(self, x: _Sum, layer: int) -> _Sum:
        """Return ``x`` times the layer's own number."""
        scale = self.g.constant(f"layers.{layer}.scale", np.array(self.checkpoint.layer_scale(layer), np.float32))
        return _Sum(self.g.op("Mul", self._whole(x), scale, name=f"layers.{layer}.scaled"))

    def _activated(self, x: ir.Value, layer: int, name: str) -> ir.Value:
        numbers = self.checkpoint.activation(layer) if self.d.names.activation else {}
        return activated(self.g, x, self.d.activation, f"{name}.activated", **numbers)

    def _logits(self, x: ir.Value, tokens: int | str) -> None:
        g, d = self.g, self.d
        project = self.checkpoint.project_out()
        x = x if project is None else self.weights.linear(x, project, "project_out")
        logits = self.weights.linear(x, self.checkpoint.head(), "head")
        if d.logits_cap:
            cap = g.constant("logits_cap", np.array(d.logits_cap, np.float32))
            squashed = g.op("Tanh", g.op("Div", logits, cap, name="logits.scaled"), name="logits.squashed")
            logits = g.op("Mul", squashed, cap, name="logits.capped")
        g.output(logits, "logits", FLOAT, (BATCH, tokens, d.vocabulary))
        g.outputs.insert(0, g.outputs.pop())
