"""Attention over a key-value cache that Core ML holds as state, and what each token sees of it.

In a function for any number of tokens the shapes of the inputs alone tell where new tokens lie: the mask's last side T
counts the slots of the cache that are in use, so N new tokens lie in the slots T - N to T - 1. In one for a fixed
number an input tells the first of them, and attention runs over all slots. Causality and windows are made here, and
the mask that is fed is added to them.

swift-transformers 1.3 feeds zeros and counts one slot too many from its first call on: under it the tokens lie one slot
higher, and slot 0 stays empty. That is seen by the slot itself, for a cache starts as zeros and a key is never all
zero; an empty slot 0 is hidden, and learned positions count from slot 1. Rotary positions only measure distances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  (as everybody calls it)

from edgepack.decoders import Decoder, Rotary
from edgepack.decoders.alibi import by_place
from edgepack.decoders.rotary import cos_sin_cache
from edgepack.formats.coreml._mil import Var
from edgepack.formats.coreml.builder.weights import Weights

_HIDDEN = np.float16(-3e4)  # added to scores; twice that is still a float16, and -inf would make NaN of a hidden row
_EXACT = 1e-6  # of a factor that is 1


class Cache:
    """Keys or values of the layers of one shape that a package has, float16 [layers, 1, kv_heads, slots, head]."""

    def __init__(self, state: Var, decoder: Decoder) -> None:
        self._state, self._d = state, decoder
        self.now = mb.read_state(input=state)

    def extend(self, layer: int, new: Var, span: Span) -> Var:
        """Write ``new`` [1, kv_heads, N, head] into the slots of ``span``, in the row ``layer``; those that it sees."""
        d = self._d
        begin, end, seen = (
            joined(front, side, back)
            for front, side, back in (
                ([layer, 0, 0], span.past, [0]),
                ([layer + 1, 1, d.kv_heads], span.end, [d.head_dim]),
                ([layer + 1, 1, d.kv_heads], span.seen, [d.head_dim]),
            )
        )
        updated = mb.slice_update(x=self.now, update=mb.expand_dims(x=new, axes=[0]), begin=begin, end=end)
        self.now = mb.coreml_update_state(state=self._state, value=updated)
        squeezed = [True, False, False, False, False]
        return mb.slice_by_index(x=self.now, begin=[layer, 0, 0, 0, 0], end=seen, squeeze_mask=squeezed)

    def starts_empty(self) -> Var:
        """Return whether the first slot holds no key, bool [1]."""
        d = self._d
        first = mb.slice_by_index(x=self.now, begin=[0] * 5, end=[1, 1, d.kv_heads, 1, d.head_dim])
        largest = mb.reduce_max(x=mb.abs(x=first), axes=[1, 2, 3, 4], keep_dims=False)
        return mb.equal(x=largest, y=np.float16(0))


@dataclass(frozen=True)
class Span:
    """The slots of N new tokens and the part of the cache that is seen: int32 [1] each, a list where it is known."""

    past: Var  # the first slot of theirs
    new: Var | list[int]  # N
    end: Var  # past + new
    seen: Var | list[int]  # the slots from 0 on that attention runs over
    moved: Var | None = None  # whether slot 0 is empty, bool [1]


def ranged(x: Var, mask: Var, keys: Cache) -> Span:
    """Return the span of ``x`` [1, N, ...] and a mask [1, 1, *, T]: the last N of T slots."""
    total = mb.gather(x=mb.shape(x=mask), indices=[3], axis=0)
    new = mb.gather(x=mb.shape(x=x), indices=[1], axis=0)
    past = mb.sub(x=total, y=new)
    return Span(past, new, total, total, mb.logical_and(x=keys.starts_empty(), y=mb.greater(x=past, y=0)))


def fixed(x: Var, position: Var, slots: int) -> Span:
    """Return the span of ``x`` [1, N, ...]: N slots from ``position`` on, of so many in all."""
    return Span(position, [x.shape[1]], mb.add(x=position, y=np.int32(x.shape[1])), [slots])


class Places:
    """Masks and rotary factors of the new tokens, made once for all layers of a function.

    Tables have a row for each of ``slots``; those beyond ``context`` no text reaches. ``counted``: rotary angles are
    those of the tokens' places in the text, because something else than distances hangs on them.
    """

    def __init__(self, span: Span, mask: Var, weights: Weights, context: int, slots: int, *, counted: bool) -> None:
        self.span, self._weights, self._context, self._size = span, weights, context, slots
        self._first = span.past
        if counted and span.moved is not None:
            self._first = mb.sub(x=span.past, y=mb.cast(x=span.moved, dtype="int32"))
        self._slots = weights.plain("slots", np.arange(slots, dtype=np.int32), made=True)
        self._rows = mb.slice_by_size(x=self._slots, begin=span.past, size=span.new)
        self._given = mb.maximum(x=mask, y=_HIDDEN)
        self._masks: dict[int, Var] = {}
        self._turns: dict[bool, tuple[Var, Var]] = {}

    def positions(self) -> Var:
        """Return int32 [N], from 0 on, below the context."""
        if self.span.moved is not None:
            return mb.sub(x=self._rows, y=mb.cast(x=self.span.moved, dtype="int32"))
        return mb.minimum(x=self._rows, y=np.int32(self._context - 1))

    def mask(self, window: int, decoder: Decoder) -> Var:
        """Return what is added to scores, float16 [1, 1 or heads, N, T], for layers that look back at ``window`` tokens
        (0: all), with ALiBi's biases of the decoder's heads.
        """
        window = window if window < self._context else 0
        if window not in self._masks:
            self._masks[window] = self._mask(window, decoder)
        return self._masks[window]

    def _mask(self, window: int, decoder: Decoder) -> Var:
        columns = mb.slice_by_size(x=self._slots, begin=[0], size=self.span.seen)
        back = mb.sub(x=mb.expand_dims(x=self._rows, axes=[0, 1, 3]), y=mb.expand_dims(x=columns, axes=[0, 1, 2]))
        hidden = mb.less(x=back, y=0)
        if self.span.moved is not None:
            empty = mb.logical_and(x=mb.equal(x=columns, y=0), y=self.span.moved)
            hidden = mb.logical_or(x=hidden, y=mb.expand_dims(x=empty, axes=[0, 1, 2]))
        if window:
            hidden = mb.logical_or(x=hidden, y=mb.greater_equal(x=back, y=window))
        mask = mb.add(x=mb.mul(x=mb.cast(x=hidden, dtype="fp16"), y=_HIDDEN), y=self._given)
        if not decoder.alibi:
            return mask
        if decoder.alibi_by_place:
            return mb.add(x=mask, y=self._by_place(columns, decoder))
        each = -np.array(decoder.alibi, np.float32)[None, :, None, None]
        distance = mb.cast(x=mb.mul(x=mb.cast(x=mb.maximum(x=back, y=0), dtype="fp32"), y=each), dtype="fp16")
        return mb.add(x=mask, y=distance)

    def _by_place(self, columns: Var, decoder: Decoder) -> Var:
        """Return each key's bias less that of the token itself, which no softmax sees, float16 [1, heads, N, T].

        Biases grow with the place, and float16 would round the differences between them.
        """
        table = by_place(decoder.alibi, decoder.head_dim, self._context)
        beyond = ((0, 0), (0, self._size - self._context))
        stored = self._weights.plain("alibi", np.pad(table, beyond, mode="edge"), made=True)
        if self.span.moved is not None:
            moved = mb.cast(x=self.span.moved, dtype="int32")
            columns = mb.maximum(x=mb.sub(x=columns, y=moved), y=np.int32(0))
        keys, own = (mb.gather(x=stored, indices=places, axis=1) for places in (columns, self.positions()))
        keys, own = mb.expand_dims(x=keys, axes=[0, 2]), mb.expand_dims(x=own, axes=[0, 3])
        return mb.cast(x=mb.minimum(x=mb.sub(x=keys, y=own), y=np.float32(0)), dtype="fp16")

    def turned(self, x: Var, rotary: Rotary, *, local: bool) -> Var:
        """Return ``x`` float16 [1, heads, N, head] with the pairs (i, i + width / 2) turned (Su et al. 2021), in
        float32.
        """
        if local not in self._turns:
            self._turns[local] = self._cos_sin(rotary, x.shape[3], "local" if local else "rotary")
        cos, sin = self._turns[local]
        x = mb.cast(x=x, dtype="fp32")
        half, head = rotary.width // 2, x.shape[3]
        sizes = [half, half] + ([head - 2 * half] if head > 2 * half else [])
        first, second, *rest = mb.split(x=x, split_sizes=sizes, axis=-1)
        swapped = mb.concat(values=[second, first, *rest], axis=-1)
        return mb.cast(x=mb.add(x=mb.mul(x=x, y=cos), y=mb.mul(x=swapped, y=sin)), dtype="fp16")

    def _cos_sin(self, rotary: Rotary, head: int, name: str) -> tuple[Var, Var]:
        """Return factors of x and of x with its halves swapped, float32 [N, head]; what does not turn keeps 1 and 0."""
        beyond = ((0, self._size - self._context), (0, 0))
        cos, sin = (np.pad(table, beyond, mode="edge") for table in cos_sin_cache(rotary, self._context))
        still = np.ones((self._size, head - 2 * cos.shape[1]), np.float32)
        whole = {"cos": np.concatenate([cos, cos, still], 1), "sin": np.concatenate([-sin, sin, still * 0], 1)}
        stored = [self._weights.plain(f"{name}.{k}", v, made=True) for k, v in whole.items()]
        begin, size = joined(self._first, [0]), joined(self.span.new, [head])
        made = [mb.slice_by_size(x=table, begin=begin, size=size) for table in stored]
        return made[0], made[1]


def joined(*parts: Var | list[int]) -> Var | list[int]:
    """Return the sides one after the other, int32; a list where all are known."""
    if all(isinstance(part, list) for part in parts):
        return [side for part in parts for side in part]
    return mb.concat(values=list(parts), axis=0)


def attend(q: Var, k: Var, v: Var, mask: Var, decoder: Decoder, scaling: float, sinks: Var | None = None) -> Var:
    """Mix the values [1, kv_heads, T, head] by the scores of q [1, heads, N, head]; float16 [1, N, query].

    Scores are ``scaling`` times the product of q and k; ``sinks`` [1, heads, 1, 1] are one more, which no key has.
    Queries that share keys lie below each other, so that no key is copied.
    """
    d, group = decoder, decoder.heads // decoder.kv_heads
    scale = scaling * (
        1 if d.attention_cap or sinks is not None else d.head_dim**0.5
    )  # the operator has 1 / sqrt(head)
    if abs(scale - 1) > _EXACT:
        q = mb.mul(x=q, y=np.float16(scale))
    if group > 1:
        q = mb.reshape(x=q, shape=(1, d.kv_heads, -1, d.head_dim))
        mask = mb.tile(x=mask, reps=[1, 1, group, 1])
    if d.attention_cap:
        mixed = _capped(q, k, v, mask, np.float16(d.attention_cap))
    elif sinks is not None:
        mixed = _with_sinks(q, k, v, mask, sinks)
    else:
        mixed = mb.scaled_dot_product_attention(query=q, key=k, value=v, attn_mask=mask)
    mixed = mb.transpose(x=mb.reshape(x=mixed, shape=(1, d.heads, -1, d.head_dim)), perm=[0, 2, 1, 3])
    return mb.reshape(x=mixed, shape=(1, -1, d.q_dim))


def _capped(q: Var, k: Var, v: Var, mask: Var, cap: np.float16) -> Var:
    """Return cap the scores: cap * tanh(score / cap)."""
    scores = mb.real_div(x=mb.matmul(x=q, y=k, transpose_y=True), y=cap)
    scores = mb.mul(x=mb.tanh(x=scores), y=cap)
    return mb.matmul(x=mb.softmax(x=mb.add(x=scores, y=mask), axis=-1), y=v)


def _with_sinks(q: Var, k: Var, v: Var, mask: Var, sinks: Var) -> Var:
    """Mix the values by a softmax that has a place for ``sinks`` too, whose share nothing gets."""
    scores = mb.add(x=mb.matmul(x=q, y=k, transpose_y=True), y=mask)
    groups, heads = scores.shape[1], sinks.shape[1]
    none = mb.mul(x=mb.reduce_max(x=scores, axes=[-1], keep_dims=True), y=np.float16(0))
    beside = mb.add(x=mb.reshape(x=none, shape=(1, heads, -1, 1)), y=sinks)
    beside = mb.reshape(x=beside, shape=(1, groups, -1, 1))
    shares = mb.softmax(x=mb.concat(values=[scores, beside], axis=-1), axis=-1)
    kept = mb.slice_by_index(x=shares, begin=[0] * 4, end=[0, 0, 0, -1], end_mask=[True, True, True, False])
    return mb.matmul(x=kept, y=v)
