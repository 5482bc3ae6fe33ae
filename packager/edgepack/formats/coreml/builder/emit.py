"""Write a decoder's program from its description, one weight at a time.

Products are in float16. The residual and the norms are in float32: they are small beside the products, and the largest
activations of some models do not fit into float16, nor do their squares.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  (as everybody calls it)

from edgepack.arrays import Array
from edgepack.coreml.text import HIDDEN, IDS, KEYS, LOGITS, MASK, NEXT, POSITION, VALUES
from edgepack.decoders.checkpoint import Checkpoint
from edgepack.formats.coreml._mil import Var
from edgepack.formats.coreml.builder.attention import Cache, Places, Span, attend, fixed, ranged
from edgepack.formats.coreml.builder.parts import Part
from edgepack.formats.coreml.builder.weights import Weights, label

_GELUS = {"gelu": "EXACT", "gelu_tanh": "TANH_APPROXIMATION"}


class Emitter:
    """``emit`` adds the layers of ``part`` to the function that is being built, for a cache of ``slots``."""

    def __init__(self, checkpoint: Checkpoint, weights: Weights, part: Part, context: int, slots: int) -> None:
        self.checkpoint, self.weights, self.part, self.context, self.slots = checkpoint, weights, part, context, slots
        self.d = checkpoint.decoder

    def emit(self, inputs: Mapping[str, Var]) -> Var:
        """Return each layer, from ids int32 [1, N] or a residual float32 [1, N, hidden] to the next part's residual or
        logits.

        Logits are float16 [1, N, vocabulary].
        """
        x = inputs[IDS] if self.part.first else inputs[HIDDEN]
        if self.part.layers:
            self._keys, self._values = (Cache(inputs[name], self.d) for name in (KEYS, VALUES))
            self._places = Places(self._span(x, inputs), inputs[MASK], self.weights, self.context, self.slots)
        x = self._embed(x) if self.part.first else x
        for layer in self.part.layers:
            x = self._layer(x, layer)
        if not self.part.last:
            return mb.identity(x=x, name=NEXT)
        return self._logits(_half(self._norm(x, self.d.names.final, 0)))

    def _span(self, x: Var, inputs: Mapping[str, Var]) -> Span:
        if POSITION in inputs:
            return fixed(x, inputs[POSITION], self.slots)
        return ranged(x, inputs[MASK], self._keys)

    def _embed(self, ids: Var) -> Var:
        x = _full(self.weights.gather(ids, self.checkpoint.embedding(), "embedding"))
        if self.d.embedding_scale != 1.0:
            x = mb.mul(x=x, y=np.float32(self.d.embedding_scale))
        positions = self.checkpoint.positions()
        if positions is None:
            return x
        return mb.add(x=x, y=_full(self.weights.gather(self._places.positions(), positions, "positions")))

    def _layer(self, x: Var, layer: int) -> Var:
        """Return the residual, float32 [1, N, hidden]."""
        d, name = self.d, label(f"layers.{layer}")
        attended = _full(self._attention(_half(self._norm(x, d.names.norm1, layer)), layer))
        if d.names.after_attention:
            attended = self._norm(attended, d.names.after_attention, layer)
        before = x if d.parallel else mb.add(x=x, y=attended, name=f"{name}_attended")
        fed = _full(self._feed_forward(_half(self._norm(before, d.names.norm2, layer)), layer))
        if d.names.after_mlp:
            fed = self._norm(fed, d.names.after_mlp, layer)
        if d.parallel:
            fed = mb.add(x=attended, y=fed)
        return mb.add(x=before, y=fed, name=name)

    def _attention(self, x: Var, layer: int) -> Var:
        d, places, name = self.d, self._places, f"layers.{layer}.attention"
        packed = self.weights.linear(x, self.checkpoint.qkv(layer), f"{name}.qkv")
        heads = mb.reshape(x=packed, shape=(1, -1, d.heads + 2 * d.kv_heads, d.head_dim))
        heads = mb.transpose(x=heads, perm=[0, 2, 1, 3])
        turned, v = mb.split(x=heads, split_sizes=[d.heads + d.kv_heads, d.kv_heads], axis=1)
        if d.names.query_norm:
            turned = self._normed_heads(turned, layer)
        rotary = d.rotary_of(layer)
        if rotary:
            turned = places.turned(turned, rotary, local=rotary is d.local_rotary)
        q, k = mb.split(x=turned, split_sizes=[d.heads, d.kv_heads], axis=1)
        k, v = (
            cache.extend(layer - self.part.layers.start, new, places.span)
            for cache, new in ((self._keys, k), (self._values, v))
        )
        mixed = attend(q, k, v, places.mask(d.window(layer)), d, d.scaling(layer))
        return self.weights.linear(mixed, self.checkpoint.o_proj(layer), f"{name}.out")

    def _normed_heads(self, x: Var, layer: int) -> Var:
        """Return each query's and key's head normed for itself, [1, heads + kv_heads, N, head]."""
        d = self.d
        query, _ = self.checkpoint.norm(d.names.query_norm, layer)
        key, _ = self.checkpoint.norm(d.names.key_norm, layer)
        weight = np.stack([query] * d.heads + [key] * d.kv_heads)[:, None]
        return _half(self._rms(_full(x), f"layers.{layer}.heads.norm", weight))

    def _feed_forward(self, x: Var, layer: int) -> Var:
        d, name = self.d, f"layers.{layer}.mlp"
        made = self.weights.linear(x, self.checkpoint.gate_up(layer), f"{name}.inner")
        if d.gated:
            gate, up = mb.split(x=made, num_splits=2, axis=-1)
            made = mb.mul(x=self._activation(gate), y=up)
        else:
            made = self._activation(made)
        return self.weights.linear(made, self.checkpoint.down(layer), f"{name}.down")

    def _activation(self, x: Var) -> Var:
        kind = self.d.activation
        if kind in _GELUS:
            return mb.gelu(x=x, mode=_GELUS[kind])
        return mb.silu(x=x) if kind == "silu" else mb.relu(x=x)

    def _norm(self, x: Var, path: str, layer: int) -> Var:
        """Return float32, as ``x``."""
        weight, bias = self.checkpoint.norm(path, layer)
        name = path.format(i=layer)
        if self.d.norm.kind == "rms":
            return self._rms(x, name, weight)
        gamma = self.weights.plain(f"{name}.weight", weight)
        beta = None if bias is None else self.weights.plain(f"{name}.bias", bias)
        return mb.layer_norm(x=x, axes=[-1], gamma=gamma, beta=beta, epsilon=np.float32(self.d.norm.epsilon))

    def _rms(self, x: Var, name: str, weight: Array) -> Var:
        mean = mb.reduce_mean(x=mb.square(x=x), axes=[-1], keep_dims=True)
        scaled = mb.mul(x=x, y=mb.rsqrt(x=mean, epsilon=np.float32(self.d.norm.epsilon)))
        return mb.mul(x=scaled, y=self.weights.plain(f"{name}.weight", weight))

    def _logits(self, x: Var) -> Var:
        cap = np.float16(self.d.logits_cap)
        logits = self.weights.linear(x, self.checkpoint.head(), "head")
        if cap:
            logits = mb.mul(x=mb.tanh(x=mb.real_div(x=logits, y=cap)), y=cap)
        return mb.identity(x=logits, name=LOGITS)


def _full(x: Var) -> Var:
    return mb.cast(x=x, dtype="fp32")


def _half(x: Var) -> Var:
    return mb.cast(x=x, dtype="fp16")
