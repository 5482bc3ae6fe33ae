"""Write a decoder's program from its description, one weight at a time.

Products are in float16. The residual and the norms are in float32: they are small beside the products, and the largest
activations of some models do not fit into float16, nor do their squares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  (as everybody calls it)

from edgepack.arrays import Array
from edgepack.coreml.text import ENTERED, HIDDEN, IDS, LOGITS, MASK, NEXT, POSITION
from edgepack.decoders import Decoder, order
from edgepack.decoders.checkpoint import Checkpoint
from edgepack.errors import UnsupportedModel
from edgepack.formats.coreml._mil import Var
from edgepack.formats.coreml.builder.activations import activated, cut_off
from edgepack.formats.coreml.builder.altup import AltUpOperations
from edgepack.formats.coreml.builder.attention import Cache, Places, Span, attend, fixed, ranged
from edgepack.formats.coreml.builder.convolution import Entered
from edgepack.formats.coreml.builder.experts import experts
from edgepack.formats.coreml.builder.parts import Part
from edgepack.formats.coreml.builder.signature import caches, named
from edgepack.formats.coreml.builder.weights import Weights, label


class Emitter:
    """``emit`` adds the layers of ``part`` to the function that is being built, for a cache of ``slots``."""

    def __init__(self, checkpoint: Checkpoint, weights: Weights, part: Part, context: int, slots: int) -> None:
        self.checkpoint, self.weights, self.part, self.context, self.slots = checkpoint, weights, part, context, slots
        self.d = checkpoint.decoder
        if checkpoint.altup:
            self._altup = AltUpOperations(
                checkpoint.altup, weights, lambda x, layer: self.norm(x, self.d.names.altup_norm, layer)
            )

    def emit(self, inputs: Mapping[str, Var]) -> Var:
        """Return each layer, from ids int32 [1, N] or a residual float32 [1, N, hidden] to the next part's residual or
        logits.

        Logits are float16 [1, N, vocabulary].
        """
        x = inputs[IDS] if self.part.first else inputs[HIDDEN]
        if self.part.layers:
            self._open(inputs)
            self._places = Places(
                self._span(x, inputs), inputs[MASK], self.weights, self.context, self.slots, counted=self.d.turned_first
            )
        ids = self._read_as(x) if self.part.first else x
        x = self._embed(ids) if self.part.first else x
        self._inputs = self._layer_inputs(ids, x) if self.d.layer_width else ()
        x = self._altup.enter(x) if self.d.altup else x
        for layer in self.part.layers:
            x = order.through(self, self.d, x, layer)
        x = self._altup.leave(x) if self.d.altup else x
        if not self.part.last:
            return mb.identity(x=x, name=NEXT)
        return self._logits(_half(self.norm(x, self.d.names.final, 0) if self.d.names.final else x))

    def _open(self, inputs: Mapping[str, Var]) -> None:
        """Open the caches, and note where each layer's keys and values lie in which."""
        self._caches: dict[int, tuple[Cache, Cache, int]] = {}
        for place, layers in enumerate(caches(self.d, self.part.layers).values()):
            keys, values = (Cache(inputs[name], self.d.at(layers[0])) for name in named(place))
            self._caches |= {layer: (keys, values, row) for row, layer in enumerate(layers)}
        self._pairs: dict[int, tuple[Var, Var]] = {}
        if ENTERED in inputs:
            self._entered = Entered(inputs[ENTERED], self.d)

    def _span(self, x: Var, inputs: Mapping[str, Var]) -> Span:
        if POSITION in inputs:
            return fixed(x, inputs[POSITION], self.slots)
        return ranged(x, inputs[MASK], next(iter(self._caches.values()))[0])

    def _read_as(self, ids: Var) -> Var:
        """Return ``ids``, with padding in the place of the tokens of images and sounds."""
        for token in self.d.strangers:
            ids = mb.select(cond=mb.equal(x=ids, y=np.int32(token)), a=np.int32(self.d.padding), b=ids)
        return ids

    def _embed(self, ids: Var) -> Var:
        names, found = self.d.names, self.weights.gather(ids, self.checkpoint.embedding(), "embedding")
        project, positions = self.checkpoint.project_in(), self.checkpoint.positions()
        x = _full(found if project is None else self.weights.linear(found, project, "project_in"))
        if self.d.embedding_scale != 1.0:
            x = mb.mul(x=x, y=np.float32(self.d.embedding_scale))
        if positions is not None:
            places = self._places.positions()
            x = mb.add(x=x, y=_full(self.weights.gather(places, positions, "positions")))
        return self.norm(x, names.embedding_norm, 0) if names.embedding_norm else x

    def add(self, x: Var, branches: Sequence[Var], layer: int, *, last: bool) -> Var:
        """Return the sum, float32 [1, N, hidden]."""
        branch = branches[0] if len(branches) == 1 else mb.add(x=branches[0], y=branches[1])
        return mb.add(x=x, y=branch, name=label(f"layers.{layer}") + ("" if last else "_attended"))

    def attention(self, x: Var, layer: int) -> Var:
        """Return the branch of attention, float32."""
        d, places, name = self.d.at(layer), self._places, f"layers.{layer}.attention"
        packed = self.weights.linear(_half(x), self.checkpoint.qkv(layer), f"{name}.qkv")
        if d.clip:
            packed = mb.clip(x=packed, alpha=np.float16(-d.clip), beta=np.float16(d.clip))
        heads = mb.reshape(x=packed, shape=(1, -1, d.qkv_dim // d.head_dim, d.head_dim))
        turned, v = self._values(mb.transpose(x=heads, perm=[0, 2, 1, 3]), d)
        for place in (self._turned, self._normed_heads) if d.turned_first else (self._normed_heads, self._turned):
            turned = place(turned, layer)
        if d.reads is None:
            q, k = mb.split(x=turned, split_sizes=[d.heads, d.kv_heads], axis=1)
            keys, values, row = self._caches[layer]
            self._pairs[layer] = keys.extend(row, k, places.span), values.extend(row, v, places.span)
        else:
            q = turned
        k, v = self._pairs[layer if d.reads is None else d.reads]
        mask, sinks = places.mask(d.window(layer), self.d), self.checkpoint.sinks(layer)
        if sinks is None:
            mixed = attend(q, k, v, mask, d, d.scaling(layer))
        else:
            stored = self.weights.plain(f"{name}.sinks", sinks.astype(np.float16)[None, :, None, None])
            mixed = attend(q, k, v, mask, d, d.scaling(layer), stored)
        return _full(self.weights.linear(mixed, self.checkpoint.o_proj(layer), f"{name}.out"))

    def _values(self, heads: Var, d: Decoder) -> tuple[Var, Var | None]:
        """Return queries and keys together, and the values; what a layer does not make is not there."""
        if d.reads is not None:
            return heads, None
        if d.values_are_keys:
            turned, (_, v) = heads, mb.split(x=heads, split_sizes=[d.heads, d.kv_heads], axis=1)
        else:
            turned, v = mb.split(x=heads, split_sizes=[d.heads + d.kv_heads, d.kv_heads], axis=1)
        return turned, _half(self._unit(_full(v), [-1])) if d.value_norm else v

    def _turned(self, x: Var, layer: int) -> Var:
        rotary = self.d.rotary_of(layer)
        return self._places.turned(x, rotary, local=rotary is self.d.local_rotary) if rotary else x

    def _normed_heads(self, x: Var, layer: int) -> Var:
        """Return each query's and key's head normed for itself, or all together, [1, heads + kv_heads, N, head]."""
        d = self.d.at(layer)
        if not d.names.query_norm:
            return x
        sides = [(d.names.query_norm, d.heads), (d.names.key_norm, d.kv_heads)]
        parts = [self.checkpoint.norm(path, layer) for path, _ in sides if path]
        weight, bias = (self._by_head([part[place] for part in parts], d) for place in (0, 1))
        name = f"layers.{layer}.heads.norm"
        if d.head_norm == "joint":
            apart = mb.split(x=_full(x), split_sizes=[d.heads, d.kv_heads], axis=1)
            unit = mb.concat(values=[self._unit(part, [1, 3]) for part in apart], axis=1)
        else:
            unit = self._unit(_full(x), [-1])
        return _half(self._weighed(unit, name, weight, bias))

    def _by_head(self, parts: Sequence[Array | None], d: Decoder) -> Array | None:
        """Return the numbers of queries, and of keys where there are some, for every head, [heads, 1, head]."""
        found = []
        for part, heads in zip(parts, (d.heads, d.kv_heads), strict=False):
            if part is None:
                return None
            found.append(np.broadcast_to(part.reshape(-1, d.head_dim), (heads, d.head_dim)))
        return np.concatenate(found)[:, None]

    def convolution(self, x: Var, layer: int) -> Var:
        """Return the branch of a short convolution, float32."""
        d, name = self.d.at(layer), f"layers.{layer}.convolution"
        made = self.weights.linear(_half(x), self.checkpoint.conv_in(layer), f"{name}.conv_in")
        before, behind, entering = mb.split(x=made, num_splits=3, axis=-1)
        gated, row = mb.mul(x=before, y=entering), self.d.convolving.index(layer)
        seen = self._entered.extend(row, gated, self._places.span, d.convolution - 1)
        mixed = self._mixed(_full(mb.transpose(x=seen, perm=[0, 2, 1])), layer)
        rows = _half(mb.mul(x=_full(behind), y=mb.transpose(x=mixed, perm=[0, 2, 1])))
        return _full(self.weights.linear(rows, self.checkpoint.conv_out(layer), f"{name}.conv_out"))

    def _mixed(self, columns: Var, layer: int) -> Var:
        """Return each channel's convolution, float32 [1, hidden, N]."""
        name = f"layers.{layer}.convolution"
        kernel, bias = self.checkpoint.conv_kernel(layer)
        weight = self.weights.plain(f"{name}.kernel", kernel[:, None])
        mixed = mb.conv(x=columns, weight=weight, groups=len(kernel), pad_type="valid")
        if bias is None:
            return mixed
        return mb.add(x=mixed, y=self.weights.plain(f"{name}.kernel_bias", bias[:, None]))

    def linear_attention(self, x: Var, layer: int) -> Var:
        """Raises UnsupportedModel: see ``filled``."""
        raise filled()

    def feed_forward(self, x: Var, layer: int) -> Var:
        """Return the branch of the feed-forward layer, float32."""
        found = self.checkpoint.experts(layer)
        if found and not found.experts.beside:
            return self.experts(x, x, layer)
        d, name = self.d.at(layer), f"layers.{layer}.mlp"
        made = self.weights.linear(_half(x), self.checkpoint.gate_up(layer), f"{name}.inner")
        numbers = self.checkpoint.activation(layer) if d.names.activation else {}
        if d.gated:
            gate, up = mb.split(x=made, num_splits=2, axis=-1)
            gate = gate if d.cutoff is None else cut_off(gate, d.cutoff)
            made = mb.mul(x=activated(gate, d.activation, **numbers), y=up)
        else:
            made = activated(made, d.activation, **numbers)
        return _full(self.weights.linear(made, self.checkpoint.down(layer), f"{name}.down"))

    def experts(self, x: Var, routed: Var, layer: int) -> Var:
        """Return the branch of experts, whose router reads ``routed``, float32."""
        found = self.checkpoint.experts(layer)
        assert found is not None
        weight = found.router_norm(layer)
        if weight is not None:
            name = f"{found.experts.label(layer)}.router_norm"
            routed = self._weighed(self._unit(routed, [-1]), name, weight, None)
        return experts(x, routed, layer, found, self.weights)

    def both(self, x: Var, y: Var, layer: int) -> Var:
        """Return the sum of two branches, float32."""
        return mb.add(x=x, y=y)

    def predicted(self, x: Var, layer: int) -> Var:
        """Return the residuals beside each other as the layer expects them."""
        return self._altup.predicted(x, layer)

    def active(self, x: Var, layer: int) -> Var:
        """Return the residual that the layer computes."""
        return self._altup.active(x)

    def low_rank(self, x: Var, layer: int) -> Var:
        """Return the branch of low rank, float32."""
        inner = self.weights.linear(_half(x), self.checkpoint.laurel_down(layer), f"layers.{layer}.laurel_down")
        return _full(self.weights.linear(inner, self.checkpoint.laurel_up(layer), f"layers.{layer}.laurel_up"))

    def balanced(self, x: Var, y: Var, layer: int) -> Var:
        """Return the sum of two over the root of two, float32."""
        return mb.mul(x=mb.add(x=x, y=y), y=np.float32(0.5**0.5))

    def corrected(self, x: Var, made: Var, layer: int) -> Var:
        """Return the predicted residuals ``x``, moved by what the layer ``made`` of the active one."""
        return self._altup.corrected(x, made, layer)

    def gateable(self, x: Var, layer: int) -> Var:
        """Return the active residual, as the layer's own vector gates it."""
        return self._altup.gateable(x, layer)

    def spread(self, x: Var, branch: Var, layer: int) -> Var:
        """Return the residuals with ``branch`` added to all but the first."""
        return self._altup.spread(x, branch)

    def _layer_inputs(self, ids: Var, x: Var) -> Sequence[Var]:
        """Return the vector of each layer, float32 [1, N, layer_width], of the ids and of what the first one reads."""
        d, name = self.d, "layer_inputs"
        if d.layer_rows not in (0, d.vocabulary):  # any other has the first one's
            ids = mb.select(cond=mb.less(x=ids, y=np.int32(d.layer_rows)), a=ids, b=np.int32(0))
        rows = _full(self.weights.gather(ids, self.checkpoint.layer_inputs(), name))
        made = self.weights.linear(_half(x), self.checkpoint.layer_inputs_projection(), f"{name}_projection")
        apart = mb.reshape(x=_full(made), shape=(1, -1, d.layers, d.layer_width))
        normed = mb.reshape(x=self.norm(apart, d.names.layer_inputs_norm, 0), shape=(1, -1, d.layers * d.layer_width))
        whole = mb.add(x=normed, y=rows)
        return [whole] if d.layers == 1 else mb.split(x=whole, num_splits=d.layers, axis=-1)

    def layer_input(self, x: Var, layer: int) -> Var:
        """Return the branch that the layer's own vector gates, float32."""
        d, name = self.d, f"layers.{layer}.input"
        gate = self.weights.linear(_half(x), self.checkpoint.input_gate(layer), f"{name}.inner")
        numbers = self.checkpoint.activation(layer) if d.names.activation else {}
        gated = mb.mul(x=_full(activated(gate, d.activation, **numbers)), y=self._inputs[layer])
        return _full(self.weights.linear(_half(gated), self.checkpoint.input_projection(layer), f"{name}.down"))

    def scaled(self, x: Var, layer: int) -> Var:
        """Return ``x`` times the layer's own number, float32."""
        return mb.mul(x=x, y=np.float32(self.checkpoint.layer_scale(layer)), name=label(f"layers.{layer}.scaled"))

    def norm(self, x: Var, path: str, layer: int) -> Var:
        """Return float32, as ``x``."""
        weight, bias = self.checkpoint.norm(path, layer)
        name = path.format(i=layer)
        if self.d.norm.kind == "rms":
            return self._weighed(self._unit(x, [-1]), name, weight, bias)
        gamma = None if weight is None else self.weights.plain(f"{name}.weight", weight)
        beta = None if bias is None else self.weights.plain(f"{name}.bias", bias)
        return mb.layer_norm(x=x, axes=[-1], gamma=gamma, beta=beta, epsilon=np.float32(self.d.norm.epsilon))

    def _unit(self, x: Var, axes: Sequence[int]) -> Var:
        """Return ``x`` at the length that a norm gives it."""
        if self.d.norm.kind == "layer":
            x = mb.sub(x=x, y=mb.reduce_mean(x=x, axes=axes, keep_dims=True))
        mean = mb.reduce_mean(x=mb.square(x=x), axes=axes, keep_dims=True)
        return mb.mul(x=x, y=mb.rsqrt(x=mean, epsilon=np.float32(self.d.norm.epsilon)))

    def _weighed(self, x: Var, name: str, weight: Array | None, bias: Array | None) -> Var:
        if weight is not None:
            x = mb.mul(x=x, y=self.weights.plain(f"{name}.weight", weight))
        return x if bias is None else mb.add(x=x, y=self.weights.plain(f"{name}.bias", bias))

    def _logits(self, x: Var) -> Var:
        cap = np.float16(self.d.logits_cap)
        project = self.checkpoint.project_out()
        x = x if project is None else self.weights.linear(x, project, "project_out")
        logits = self.weights.linear(x, self.checkpoint.head(), "head")
        if cap:
            logits = mb.mul(x=mb.tanh(x=mb.real_div(x=logits, y=cap)), y=cap)
        return mb.identity(x=logits, name=LOGITS)


def _full(x: Var) -> Var:
    return mb.cast(x=x, dtype="fp32")


def _half(x: Var) -> Var:
    return mb.cast(x=x, dtype="fp16")


def filled() -> UnsupportedModel:
    """Return the refusal of linear attention, whose states what fills a text up would enter."""
    return UnsupportedModel(
        "Core ML packages fill texts up to fixed lengths, which layers of linear attention would take for text",
        hint="--target rpi takes the model",
    )
