"""Attention as a node: packed q, k, v into GroupQueryAttention, with the rotary embedding inside it where it can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from edgepack.decoders import Decoder
from edgepack.decoders.alibi import by_place
from edgepack.decoders.matrix import Matrix
from edgepack.decoders.rotary import cos_sin_cache
from edgepack.formats.onnx._graph import CONTRIB
from edgepack.formats.onnx.builder import heads
from edgepack.formats.onnx.builder.norms import Norms
from edgepack.formats.onnx.builder.sequences import BATCH, FLOAT, TOTAL, Sequences


class Attention:
    """Writes the attention of each layer, for ``context`` tokens at most."""

    def __init__(self, norms: Norms, sequences: Sequences, context: int) -> None:
        self.g, self.checkpoint, self.weights, self.norms = norms.g, norms.checkpoint, norms.weights, norms
        self.sequences, self.context = sequences, context
        self.d: Decoder = norms.d
        self._turns: dict[str, tuple[ir.Value, ...]] = {}
        self._made: dict[int, tuple[ir.Value | None, ir.Value | None]] = {}  # keys and values of new tokens, by layer

    def __call__(self, x: ir.Value, layer: int, past: tuple[ir.Value, ir.Value]) -> ir.Value:
        """Return the branch of ``x`` [batch, new, hidden]; ``past`` are the keys and values that the layer reads."""
        d, g, name = self.d.at(layer), self.g, f"layers.{layer}.attention"
        packed = self.weights.linear(x, self._turnable(self.checkpoint.qkv(layer), layer), f"{name}.qkv")
        packed, gate = self._ungated(packed, name, d)
        if d.clip:
            limits = (g.constant(side, np.array(v, np.float32)) for side, v in (("least", -d.clip), ("most", d.clip)))
            packed = g.op("Clip", packed, *limits, name=f"{name}.clipped")
        angles = self._angles(layer)
        q, k, v = self._placed(packed, layer, angles)
        if self._apart(layer):
            angles = ()
        mixed, key, value = g.ops(
            "GroupQueryAttention", q, k, v, *past, *self._seen(angles, layer),
            names=(f"{name}.mixed", f"present.{layer}.key", f"present.{layer}.value"),
            domain=CONTRIB,
            num_heads=d.heads,
            kv_num_heads=d.kv_heads,
            scale=d.scaling(layer),
            do_rotary=int(len(angles) > 0),
            local_window_size=d.window(layer) or -1,
            softcap=d.attention_cap,
        )  # fmt: skip
        if d.reads is None:  # else the operator appends once more what the other layer did, and it is thrown away
            self._made[layer] = k, v
            shape = (BATCH, d.kv_heads, TOTAL, d.cached_head)
            g.output(key, f"present.{layer}.key", FLOAT, shape)
            g.output(value, f"present.{layer}.value", FLOAT, shape)
        found = self._cut(mixed, d)
        if gate is not None:
            found = g.op("Mul", found, g.op("Sigmoid", gate, name=f"{name}.open"), name=f"{name}.gated")
        return self.weights.linear(found, self.checkpoint.o_proj(layer), f"{name}.out")

    def _ungated(self, packed: ir.Value, name: str, d: Decoder) -> tuple[ir.Value, ir.Value | None]:
        """Return queries, keys and values, and what gates the result, where the layer has it."""
        if not d.gate_dim:
            return packed, None
        sizes = self.g.constant(self._named("gated_sizes", d), np.array([d.qkv_dim, d.gate_dim], np.int64))
        packed, gate = self.g.ops("Split", packed, sizes, names=(f"{name}.packed", f"{name}.gate"), axis=-1)
        return packed, gate

    def _apart(self, layer: int) -> bool:
        """Return whether queries and keys are turned in front of the operator, which counts positions by itself."""
        return self.d.rotary_of(layer) is not None and self.sequences.positions is not None

    def _placed(
        self, packed: ir.Value, layer: int, angles: tuple[ir.Value, ...]
    ) -> tuple[ir.Value, ir.Value | None, ir.Value | None]:
        """Return q, k, v as the operator takes them, normed and turned where it does not do so."""
        d, turns = self.d.at(layer), self._apart(layer)
        padded = d.cached_head != d.head_dim
        if not (d.names.query_norm or turns or padded):
            return packed, None, None
        parts = self._split(packed, f"layers.{layer}.attention", d)
        turning, values = [*parts[:2]], [*parts[2:]]
        if turns and d.turned_first:
            turning = self._turned(turning, angles, d)
        if d.names.query_norm:
            norms = (d.names.query_norm, d.names.key_norm)
            turning = [self._normed_heads(part, path, layer, d) for part, path in zip(turning, norms, strict=False)]
        if turns and not d.turned_first:
            turning = self._turned(turning, angles, d)
        if d.value_norm:
            values = [self._normed_values(v, f"layers.{layer}.attention.v", d) for v in values]
        q, *made = (self._filled(part, d) for part in (*turning, *values)) if padded else (*turning, *values)
        k, v = self._made[d.reads] if d.reads is not None else made
        return q, k, v

    def _normed_values(self, part: ir.Value, name: str, d: Decoder) -> ir.Value:
        """Return values, each head normed without a weight. They may be the product of the keys."""
        g = self.g
        heads = g.op("Reshape", part, g.constant(self._named("by_head", d), np.array([0, 0, -1, d.head_dim], np.int64)),
                     name=f"{name}.apart")  # fmt: skip
        unit = self.norms.unit(heads, d.head_dim, f"{name}.unit")
        return g.op("Reshape", unit, g.constant("joined", np.array([0, 0, -1], np.int64)), name=f"{name}.joined")

    def _filled(self, part: ir.Value, d: Decoder) -> ir.Value:
        """Return heads filled up with zeros to what the kernel takes."""
        g = self.g
        more = g.constant(self._named("missing", d), np.array([0] * 7 + [d.cached_head - d.head_dim], np.int64))
        return self._of_heads(part, d.head_dim, lambda x: g.op("Pad", x, more, name=f"{part.name}.padded"), "filled")

    def _cut(self, mixed: ir.Value, d: Decoder) -> ir.Value:
        """Return heads without what they were filled up with."""
        g = self.g
        if d.cached_head == d.head_dim:
            return mixed
        start, end, axis = (g.constant(self._named(f"cut_{name}", d), np.array([value], np.int64))
                            for name, value in (("from", 0), ("to", d.head_dim), ("axis", 3)))  # fmt: skip
        return self._of_heads(
            mixed, d.cached_head, lambda x: g.op("Slice", x, start, end, axis, name=f"{mixed.name}.sliced"), "cut"
        )

    def _of_heads(self, part: ir.Value, width: int, change: Callable[[ir.Value], ir.Value], done: str) -> ir.Value:
        """Return ``change`` of [batch, tokens, heads, width], joined again; ``done`` ends the name."""
        g, name = self.g, part.name
        apart = g.op("Reshape", part, g.constant(f"by_{width}", np.array([0, 0, -1, width], np.int64)),
                     name=f"{name}.heads")  # fmt: skip
        joined = g.constant("joined", np.array([0, 0, -1], np.int64))
        return g.op("Reshape", change(apart), joined, name=f"{name}.{done}")

    def _normed_heads(self, part: ir.Value, path: str, layer: int, d: Decoder) -> ir.Value:
        """Return queries or keys, each head normed for itself, or all of them together."""
        g = self.g
        if d.head_norm == "joint":
            return self.norms.norm(part, path, layer)
        by_head = g.constant(self._named("by_head", d), np.array([0, 0, -1, d.head_dim], np.int64))
        joined = g.constant("joined", np.array([0, 0, -1], np.int64))
        heads = g.op("Reshape", part, by_head, name=f"{part.name}.heads")
        normed = self.norms.norm(heads, path, layer) if d.head_norm == "shared" else self.norms.own(heads, path, layer)
        return g.op("Reshape", normed, joined, name=f"{part.name}.normed")

    def _split(self, packed: ir.Value, name: str, d: Decoder) -> tuple[ir.Value, ...]:
        """Return queries, keys and values; queries alone where the layer makes no others."""
        if d.reads is not None:
            return (packed,)
        parts = "qk" if d.values_are_keys else "qkv"
        sizes = self.g.constant(
            self._named("qkv_sizes", d), np.array([d.q_dim, *[d.kv_dim] * (len(parts) - 1)], np.int64)
        )
        made = self.g.ops("Split", packed, sizes, names=tuple(f"{name}.{part}" for part in parts), axis=-1)
        return (*made, made[1]) if d.values_are_keys else made

    def _named(self, what: str, d: Decoder) -> str:
        """Return the name of a constant, which layers of another shape have beside it."""
        return what if d is self.d else f"{what}_{d.qkv_dim}_{d.head_dim}"

    def _turned(self, parts: Sequence[ir.Value], angles: tuple[ir.Value, ...], d: Decoder) -> list[ir.Value]:
        """Return queries, and keys where there are some, turned by the positions that are fed."""

        def turned(part: ir.Value, heads: int) -> ir.Value:
            return self.g.op(
                "RotaryEmbedding", part, self.sequences.positions, *angles,
                name=f"{part.name}.turned", domain=CONTRIB,
                num_heads=heads, rotary_embedding_dim=self._turns_of(angles, d),
            )  # fmt: skip

        return [turned(part, heads) for part, heads in zip(parts, (d.heads, d.kv_heads), strict=False)]

    def _turns_of(self, angles: tuple[ir.Value, ...], d: Decoder) -> int:
        """Return the dimensions of a head that turn; 0 for all, as the operator wants it said."""
        assert angles[0].shape is not None
        width = 2 * int(angles[0].shape[1])
        return 0 if width == d.head_dim else width

    def _seen(self, angles: tuple[ir.Value, ...], layer: int) -> list[ir.Value | None]:
        """Return GroupQueryAttention's inputs after the cache; what is last and absent is left out."""
        s = self.sequences
        bias = s.bias
        if self.d.alibi_by_place:
            table = by_place(self.d.alibi, self.d.head_dim, self.context).T
            bias = s.placed(self.weights.plain("alibi", np.ascontiguousarray(table), made=True))
        elif self.d.alibi:
            bias = s.sloped(self.d.alibi)
        sinks = self.checkpoint.sinks(layer)
        sink = None if sinks is None else self.weights.plain(f"layers.{layer}.attention.sinks", sinks)
        inputs = [s.last_key, s.total, *(angles or (None, None)), None, bias, sink]
        while inputs[-1] is None:
            inputs.pop()
        return inputs

    def _angles(self, layer: int) -> tuple[ir.Value, ...]:
        """Return cos and sin caches, float32 [context, width / 2]; layers with the same rotary embedding share them."""
        rotary = self.d.rotary_of(layer)
        if rotary is None:
            return ()
        kind = "local" if rotary is self.d.local_rotary else "rotary"
        if kind not in self._turns:
            cos, sin = cos_sin_cache(rotary, self.context)
            inside = heads.turned_inside(self.d.at(layer), layer)
            width = heads.whole(cos.shape[1]) if inside else cos.shape[1]
            more = ((0, 0), (0, width - cos.shape[1]))  # dimensions that do not turn
            made = {"cos": np.pad(cos, more, constant_values=1.0), "sin": np.pad(sin, more)}
            self._turns[kind] = tuple(self.weights.plain(f"{kind}.{part}", made[part], made=True) for part in made)
        return self._turns[kind]

    def _turnable(self, qkv: Matrix, layer: int) -> Matrix:
        """Move pairs into places that GroupQueryAttention turns: multiples of eight pairs (i, i + n).

        Queries and keys are moved alike, so their products stay.
        """
        d, rotary = self.d.at(layer), self.d.rotary_of(layer)
        half = rotary.width // 2 if rotary else 0
        if half == heads.whole(half) or not heads.turned_inside(d, layer):
            return qkv
        turned = [*range(half)], [*range(half, 2 * half)]
        rest = [*range(2 * half, d.head_dim)]
        more = heads.whole(half) - half
        order = np.array([*turned[0], *rest[:more], *turned[1], *rest[more:]])
        rows = np.arange(qkv.shape[0]).reshape(-1, d.head_dim)
        rows[: d.heads + d.kv_heads] = rows[: d.heads + d.kv_heads, order]
        return qkv.reordered(rows.ravel())
