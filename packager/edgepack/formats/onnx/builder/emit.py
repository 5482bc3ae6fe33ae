"""Write a decoder's graph from its description, one weight at a time.

The layout is what ONNX Runtime runs fastest: packed q, k, v into GroupQueryAttention with the rotary embedding inside
it, norms that add the residual, and the head for those tokens alone whose logits are wanted (sequences.py).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgepack.decoders import Decoder, Rotary
from edgepack.decoders.checkpoint import Checkpoint, Matrix
from edgepack.decoders.rotary import cos_sin_cache
from edgepack.formats.onnx._graph import CONTRIB
from edgepack.formats.onnx.builder import heads
from edgepack.formats.onnx.builder.sequences import BATCH, FLOAT, PAST, TOTAL, Sequences
from edgepack.formats.onnx.builder.weights import Weights

_GELUS = {"gelu": "Gelu", "gelu_tanh": "FastGelu"}


class Emitter:
    """``emit()`` fills the builder of ``weights`` with the decoder of ``checkpoint``, for ``context`` tokens at most.

    ``sequences`` are its inputs but for the cache.
    """

    def __init__(self, checkpoint: Checkpoint, weights: Weights, sequences: Sequences, context: int) -> None:
        self.g, self.checkpoint, self.weights = weights.g, checkpoint, weights
        self.sequences, self.context = sequences, context
        self.d: Decoder = checkpoint.decoder
        self._turns: dict[str, tuple[ir.Value, ...]] = {}
        self._norm_op = "SimplifiedLayerNormalization" if self.d.norm.kind == "rms" else "LayerNormalization"

    def emit(self) -> None:
        """Emit every layer, from ids to logits."""
        pasts = [self._past(layer) for layer in range(self.d.layers)]
        x = self._embed()
        branch: ir.Value | None = None  # what has not been added to x yet
        for layer in range(self.d.layers):
            x, branch = self._layer(x, branch, layer, pasts[layer])
        _, normed = self._add_norm(x, branch, self.d.names.final, 0)
        self._logits(*self.sequences.wanted(normed))

    def _past(self, layer: int) -> tuple[ir.Value, ir.Value]:
        shape = (BATCH, self.d.kv_heads, PAST, self.d.head_dim)
        key, value = (self.g.input(f"past_key_values.{layer}.{part}", FLOAT, shape) for part in ("key", "value"))
        return key, value

    def _embed(self) -> ir.Value:
        x = self.weights.gather(self.sequences.ids, self.checkpoint.embedding(), "embedding")
        if self.d.embedding_scale != 1.0:
            scale = self.g.constant("embedding_scale", np.array(self.d.embedding_scale, np.float32))
            x = self.g.op("Mul", x, scale, name="embedding_scaled")
        positions, places = self.checkpoint.positions(), self.sequences.positions
        if positions is not None and places is not None:
            x = self.g.op("Add", x, self.weights.gather(places, positions, "positions"), name="embedded")
        return x

    def _layer(
        self, x: ir.Value, branch: ir.Value | None, layer: int, past: tuple[ir.Value, ir.Value]
    ) -> tuple[ir.Value, ir.Value]:
        """Return the residual, and the branch that the next norm adds to it."""
        d, name = self.d, f"layers.{layer}"
        x, normed = self._add_norm(x, branch, d.names.norm1, layer)
        attended = self._attention(normed, layer, past)
        if d.names.after_attention:
            attended = self._norm(attended, d.names.after_attention, layer)
        if d.parallel:
            fed = self._feed_forward(self._norm(x, d.names.norm2, layer), layer)
            return x, self.g.op("Add", attended, fed, name=f"{name}.branches")
        x, normed = self._add_norm(x, attended, d.names.norm2, layer)
        fed = self._feed_forward(normed, layer)
        return x, self._norm(fed, d.names.after_mlp, layer) if d.names.after_mlp else fed

    def _attention(self, x: ir.Value, layer: int, past: tuple[ir.Value, ir.Value]) -> ir.Value:
        d, g, name = self.d, self.g, f"layers.{layer}.attention"
        packed = self.weights.linear(x, self._turnable(self.checkpoint.qkv(layer), layer), f"{name}.qkv")
        rotary = d.rotary_of(layer)
        angles = () if rotary is None else self._angles(rotary)
        q, k, v = (packed, None, None) if not d.names.query_norm else self._normed_heads(packed, layer)
        if angles and self.sequences.positions is not None:  # the operator counts a prompt's positions by itself
            q, k, v = self._turned(*(self._split(packed, name) if k is None else (q, k, v)), angles)
            angles = ()
        mixed, key, value = g.ops(
            "GroupQueryAttention", q, k, v, *past, *self._seen(angles),
            names=(f"{name}.mixed", f"present.{layer}.key", f"present.{layer}.value"),
            domain=CONTRIB,
            num_heads=d.heads,
            kv_num_heads=d.kv_heads,
            scale=d.scaling(layer),
            do_rotary=int(len(angles) > 0),
            local_window_size=d.window(layer) or -1,
            softcap=d.attention_cap,
        )  # fmt: skip
        shape = (BATCH, d.kv_heads, TOTAL, d.head_dim)
        g.output(key, f"present.{layer}.key", FLOAT, shape)
        g.output(value, f"present.{layer}.value", FLOAT, shape)
        return self.weights.linear(mixed, self.checkpoint.o_proj(layer), f"{name}.out")

    def _normed_heads(self, packed: ir.Value, layer: int) -> tuple[ir.Value, ir.Value, ir.Value]:
        """Return q, k and v apart, each query's and key's head normed for itself."""
        d, g = self.d, self.g
        q, k, v = self._split(packed, f"layers.{layer}.attention")
        by_head = g.constant("by_head", np.array([0, 0, -1, d.head_dim], np.int64))
        joined = g.constant("joined", np.array([0, 0, -1], np.int64))

        def normed(part: ir.Value, path: str) -> ir.Value:
            heads = g.op("Reshape", part, by_head, name=f"{part.name}.heads")
            return g.op("Reshape", self._norm(heads, path, layer), joined, name=f"{part.name}.normed")

        return normed(q, d.names.query_norm), normed(k, d.names.key_norm), v

    def _split(self, packed: ir.Value, name: str) -> tuple[ir.Value, ir.Value, ir.Value]:
        d, g = self.d, self.g
        sizes = g.constant("qkv_sizes", np.array([d.q_dim, d.kv_dim, d.kv_dim], np.int64))
        q, k, v = g.ops("Split", packed, sizes, names=tuple(f"{name}.{part}" for part in "qkv"), axis=-1)
        return q, k, v

    def _turned(
        self, q: ir.Value, k: ir.Value, v: ir.Value, angles: tuple[ir.Value, ...]
    ) -> tuple[ir.Value, ir.Value, ir.Value]:
        """Return queries and keys turned by the positions that are fed."""
        d = self.d

        def turned(part: ir.Value, heads: int) -> ir.Value:
            return self.g.op(
                "RotaryEmbedding", part, self.sequences.positions, *angles,
                name=f"{part.name}.turned", domain=CONTRIB,
                num_heads=heads, rotary_embedding_dim=self._turns_of(angles),
            )  # fmt: skip

        return turned(q, d.heads), turned(k, d.kv_heads), v

    def _turns_of(self, angles: tuple[ir.Value, ...]) -> int:
        """Return the dimensions of a head that turn; 0 for all, as the operator wants it said."""
        assert angles[0].shape is not None
        width = 2 * int(angles[0].shape[1])
        return 0 if width == self.d.head_dim else width

    def _seen(self, angles: tuple[ir.Value, ...]) -> list[ir.Value | None]:
        """Return GroupQueryAttention's inputs after the cache; what is last and absent is left out."""
        s = self.sequences
        inputs = [s.last_key, s.total, *(angles or (None, None)), None, s.bias]
        while inputs[-1] is None:
            inputs.pop()
        return inputs

    def _angles(self, rotary: Rotary) -> tuple[ir.Value, ...]:
        """Return cos and sin caches, float32 [context, width / 2]; layers with the same rotary embedding share them."""
        kind = "local" if rotary is self.d.local_rotary else "rotary"
        if kind not in self._turns:
            cos, sin = cos_sin_cache(rotary, self.context)
            more = ((0, 0), (0, heads.whole(cos.shape[1]) - cos.shape[1]))  # dimensions that do not turn
            made = {"cos": np.pad(cos, more, constant_values=1.0), "sin": np.pad(sin, more)}
            self._turns[kind] = tuple(self.weights.plain(f"{kind}.{part}", made[part], made=True) for part in made)
        return self._turns[kind]

    def _turnable(self, qkv: Matrix, layer: int) -> Matrix:
        """Move pairs into places that GroupQueryAttention turns: multiples of eight pairs (i, i + n).

        Queries and keys are moved alike, so their products stay. Raises UnsupportedModel where there is no room.
        """
        d, rotary = self.d, self.d.rotary_of(layer)
        half = rotary.width // 2 if rotary else 0
        heads.check(d, layer)
        if half == heads.whole(half):
            return qkv
        turned = [*range(half)], [*range(half, 2 * half)]
        rest = [*range(2 * half, d.head_dim)]
        more = heads.whole(half) - half
        order = np.array([*turned[0], *rest[:more], *turned[1], *rest[more:]])
        rows = np.arange(d.q_dim + 2 * d.kv_dim).reshape(-1, d.head_dim)
        rows[: d.heads + d.kv_heads] = rows[: d.heads + d.kv_heads, order]
        return qkv.reordered(rows.ravel())

    def _feed_forward(self, x: ir.Value, layer: int) -> ir.Value:
        d, g, name = self.d, self.g, f"layers.{layer}.mlp"
        made = self.weights.linear(x, self.checkpoint.gate_up(layer), f"{name}.inner")
        if not d.gated:
            return self.weights.linear(self._activation(made, name), self.checkpoint.down(layer), f"{name}.down")
        sizes = g.constant("inner_sizes", np.array([d.intermediate, d.intermediate], np.int64))
        gate, up = g.ops("Split", made, sizes, names=(f"{name}.gate", f"{name}.up"), axis=-1)
        gated = g.op("Mul", self._activation(gate, name), up, name=f"{name}.gated")
        return self.weights.linear(gated, self.checkpoint.down(layer), f"{name}.down")

    def _activation(self, x: ir.Value, name: str) -> ir.Value:
        kind, name = self.d.activation, f"{name}.activated"
        if kind == "silu":  # x sigmoid(x)
            return self.g.op("QuickGelu", x, name=name, domain=CONTRIB, alpha=1.0)
        if kind == "relu":
            return self.g.op("Relu", x, name=name)
        return self.g.op(_GELUS[kind], x, name=name, domain=CONTRIB)

    def _norm(self, x: ir.Value, path: str, layer: int) -> ir.Value:
        name, weights = self._norm_weights(path, layer)
        return self.g.op(self._norm_op, x, *weights, name=name, axis=-1, epsilon=self.d.norm.epsilon)

    def _add_norm(self, x: ir.Value, branch: ir.Value | None, path: str, layer: int) -> tuple[ir.Value, ir.Value]:
        """Return x + branch, and its norm, in one node."""
        if branch is None:
            return x, self._norm(x, path, layer)
        name, weights = self._norm_weights(path, layer)
        normed, _, _, total = self.g.ops(
            f"Skip{self._norm_op}", x, branch, *weights,
            names=(name, "", "", f"{name}.sum"), domain=CONTRIB, epsilon=self.d.norm.epsilon,
        )  # fmt: skip
        return total, normed

    def _norm_weights(self, path: str, layer: int) -> tuple[str, list[ir.Value]]:
        name = path.format(i=layer)
        weight, bias = self.checkpoint.norm(path, layer)
        parts = [("weight", weight)] + ([("bias", bias)] if bias is not None else [])
        return name, [self.weights.plain(f"{name}.{part}", array) for part, array in parts]

    def _logits(self, x: ir.Value, tokens: int | str) -> None:
        g, d = self.g, self.d
        logits = self.weights.linear(x, self.checkpoint.head(), "head")
        if d.logits_cap:
            cap = g.constant("logits_cap", np.array(d.logits_cap, np.float32))
            squashed = g.op("Tanh", g.op("Div", logits, cap, name="logits.scaled"), name="logits.squashed")
            logits = g.op("Mul", squashed, cap, name="logits.capped")
        g.output(logits, "logits", FLOAT, (BATCH, tokens, d.vocabulary))
        g.outputs.insert(0, g.outputs.pop())
