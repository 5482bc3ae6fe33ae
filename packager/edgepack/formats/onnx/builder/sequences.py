"""A graph's inputs about its sequences: their ids, which of them count and where they stand, whose logits are wanted.

The dimensions have the names that optimum gives them; transformers.js looks for ``batch_size`` among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import onnx_ir as ir

from edgepack.formats.onnx.builder.builder import Builder
from edgepack.runtime.graphs import NUM_LOGITS

FLOAT, INT64, INT32, BOOL = ir.DataType.FLOAT, ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL
BATCH, NEW, PAST, TOTAL = "batch_size", "sequence_length", "past_sequence_length", "total_sequence_length"
_TO_THE_END = np.iinfo(np.int64).max
_HIDDEN = -1e30  # a score that no softmax sees; minus infinity would make NaN of a token that sees nothing


class Sequences(Protocol):
    """The inputs of a graph but for its cache, and what its nodes make of them."""

    ids: ir.Value  # int64 [batch, new]
    positions: ir.Value | None  # int64 [batch, new]; None where only the mask says them
    last_key: ir.Value  # int32 [batch]: GroupQueryAttention's seqlens_k
    total: ir.Value  # int32 [1]: the longest length, the past included
    bias: ir.Value | None  # float32 [batch, 1, new, total], added to the scores

    def unpadded(self, x: ir.Value) -> ir.Value:
        """Return ``x`` [batch, new, hidden] with zeros for what is padding: a convolution would mix it in."""
        ...

    def wanted(self, x: ir.Value) -> tuple[ir.Value, int | str]:
        """Return the tokens of ``x`` [batch, new, hidden] whose logits are wanted, and their dimension."""
        ...

    def sloped(self, slopes: Sequence[float]) -> ir.Value:
        """Return the bias with ALiBi's of each head, float32 [batch or 1, heads, new, total]."""
        ...

    def placed(self, table: ir.Value) -> ir.Value:
        """Return the bias with that of each key's place in its sequence, float32 [batch, heads, new, total];
        ``table`` is float32 [context, heads].
        """
        ...


class AnyMask:
    """Sequences padded wherever they like: what optimum, transformers.js and onnxruntime alone feed.

    All logits, or with ``asked`` those of the last ``num_logits_to_keep`` tokens, 0 for all.
    """

    def __init__(self, g: Builder, *, asked: bool) -> None:
        self.g = g
        self.ids, mask = g.input("input_ids", INT64, (BATCH, NEW)), g.input("attention_mask", INT64, (BATCH, TOTAL))
        self.positions: ir.Value | None = g.input("position_ids", INT64, (BATCH, NEW))
        self._asked = g.input(NUM_LOGITS, INT64, ()) if asked else None
        self.total = _total(g, mask)
        # every sequence is as long as the longest; what is not in the mask is hidden by the bias
        last = g.op("Sub", self.total, g.constant("one_int32", np.array(1, np.int32)), name="last_place")
        batch = g.op("Shape", self.ids, name=BATCH, start=0, end=1)
        self.last_key = g.op("Expand", last, batch, name="seqlens_k")
        self.bias: ir.Value | None = self._hiding(mask, batch)
        self._sloped: ir.Value | None = None
        self._mask, self._new_mask = mask, None

    def unpadded(self, x: ir.Value) -> ir.Value:
        """Return ``x`` times the mask of the new tokens; see Sequences.unpadded."""
        g = self.g
        if self._new_mask is None:
            new = g.op("Neg", g.op("Shape", self.ids, name="new_length", start=1, end=2), name="new_from_the_end")
            tokens = g.op("Slice", self._mask, new, _vector(g, _TO_THE_END), _vector(g, 1), name="new_mask")
            column = g.op("Unsqueeze", tokens, g.constant("axis_2", np.array([2])), name="new_mask_3d")
            self._new_mask = g.op("Cast", column, name="new_mask_float", to=FLOAT)
        return g.op("Mul", x, self._new_mask, name=f"{x.name}.unpadded")

    def wanted(self, x: ir.Value) -> tuple[ir.Value, int | str]:
        """Choose the tokens; see Sequences.wanted."""
        if self._asked is None:
            return x, NEW
        g = self.g
        start = g.op("Reshape", g.op("Neg", self._asked, name="from_the_end"), _vector(g, 1), name="first_wanted")
        return g.op("Slice", x, start, _vector(g, _TO_THE_END), _vector(g, 1), name="kept"), NUM_LOGITS

    def sloped(self, slopes: Sequence[float]) -> ir.Value:
        """Return what hides a key, and ALiBi's biases; see Sequences.sloped."""
        if self._sloped is None:
            self._sloped = self.g.op(
                "Add", self.bias, _slopes(self.g, self.ids, self.total, slopes), name="sloped_bias"
            )
        return self._sloped

    def placed(self, table: ir.Value) -> ir.Value:
        """Return what hides a key, and the bias of its place; see Sequences.placed."""
        if self._sloped is None:
            self._sloped = self.g.op("Add", self.bias, _by_place(self.g, self._mask, table), name="placed_bias")
        return self._sloped

    def _hiding(self, mask: ir.Value, batch: ir.Value) -> ir.Value:
        g = self.g
        seen, hidden = (g.constant(name, np.array(v, np.float32)) for name, v in (("seen", 0), ("hidden", _HIDDEN)))
        keys = g.op("Where", g.op("Cast", mask, name="mask_bool", to=BOOL), seen, hidden, name="key_bias")
        keys = g.op("Unsqueeze", keys, g.constant("axes_1_2", np.array([1, 2])), name="key_bias_4d")
        new = g.op("Shape", self.ids, name=NEW, start=1, end=2)
        shape = g.op("Concat", batch, _vector(g, 1), new, _vector(g, 1), name="bias_shape", axis=0)
        return g.op("Expand", keys, shape, name="attention_bias")


class RightPadded:
    """Sequences that begin at the first place, as onnxruntime-genai and our own runtime feed them: the fastest form.

    Each sequence's cache has no gaps. A sequence that is padded on the left makes a Gather fail, whose name says why.
    The logits are those of each sequence's last token alone. ``placed``: position_ids are an input.
    """

    def __init__(self, g: Builder, *, placed: bool) -> None:
        self.g = g
        self.ids, mask = g.input("input_ids", INT64, (BATCH, NEW)), g.input("attention_mask", INT64, (BATCH, TOTAL))
        self.positions: ir.Value | None = g.input("position_ids", INT64, (BATCH, NEW)) if placed else None
        self.total, self.bias = _total(g, mask), None
        self._sloped: ir.Value | None = None
        first = g.op("ArgMax", mask, name="first_token", axis=1, keepdims=0)
        one = g.op("Gather", _vector(g, 1), first, name="left_padding_is_for_the_graph_that_gives_all_logits")
        self._last = g.op("Sub", g.op("ReduceSum", mask, _vector(g, 1), name="lengths", keepdims=0), one, name="last")
        self.last_key = g.op("Cast", self._last, name="seqlens_k", to=INT32)
        self._mask, self._whole = mask, None

    def unpadded(self, x: ir.Value) -> ir.Value:
        """Return ``x``; a batch that is padded makes a Gather fail, whose name says why."""
        g = self.g
        if self._whole is None:
            missing = g.op("ReduceSum", g.op("Sub", _vector(g, 1), self._mask, name="padding"), name="padded",
                           keepdims=0)  # fmt: skip
            one = g.op("Gather", _vector(g, 1), missing, name="padding_is_for_the_graph_that_gives_all_logits")
            self._whole = g.op("Cast", one, name="one_float", to=FLOAT)
        return g.op("Mul", x, self._whole, name=f"{x.name}.unpadded")

    def wanted(self, x: ir.Value) -> tuple[ir.Value, int | str]:
        """Choose a prompt's last token, or the only one of a step; see Sequences.wanted."""
        g = self.g
        new = g.op("Sub", g.op("Shape", self.ids, name=NEW, start=1, end=2), _vector(g, 1), name="last_new")
        place = g.op("Unsqueeze", g.op("Min", self._last, new, name="place"), g.constant("axes_1_2", np.array([1, 2])),
                     name="places")  # fmt: skip
        # onnxruntime-genai takes 1 as a sign that prompts give one token's logits, too
        return g.op("GatherND", x, place, name="last_token", batch_dims=1), 1

    def sloped(self, slopes: Sequence[float]) -> ir.Value:
        """Return ALiBi's biases; see Sequences.sloped."""
        if self._sloped is None:
            self._sloped = _slopes(self.g, self.ids, self.total, slopes)
        return self._sloped

    def placed(self, table: ir.Value) -> ir.Value:
        """Return the bias of each key's place; see Sequences.placed."""
        if self._sloped is None:
            g = self.g
            new = g.op("Shape", self.ids, name="new_tokens", start=1, end=2)
            rows = g.op("Concat", _vector(g, 1), _vector(g, 1), new, _vector(g, 1), name="bias_shape", axis=0)
            self._sloped = g.op("Expand", _by_place(g, self._mask, table), rows, name="placed_bias")
        return self._sloped


def _slopes(g: Builder, ids: ir.Value, total: ir.Value, slopes: Sequence[float]) -> ir.Value:
    """Return how far a key lies behind a token, times the head's slope (Press et al. 2022), float32 [1, heads, new,
    total].

    The new tokens are taken for the last ones. Where a sequence ends before, all of a token's scores are off by the
    same number, which a softmax does not see.
    """
    one, zero = (g.constant(f"{name}_int32", np.array(value, np.int32)) for name, value in (("one", 1), ("zero", 0)))
    new = g.op("Cast", g.op("Shape", ids, name="new_tokens", start=1, end=2), name="new_int32", to=INT32)
    end = g.op("Squeeze", total, name="end")
    first = g.op("Sub", end, g.op("Squeeze", new, name="new_scalar"), name="first_new")
    rows = g.op("Unsqueeze", g.op("Range", first, end, one, name="rows"), _vector(g, 1), name="rows_2d")
    behind = g.op("Sub", g.op("Range", zero, end, one, name="columns"), rows, name="behind")
    each = g.constant("slopes", np.array(slopes, np.float32)[None, :, None, None])
    return g.op("Mul", g.op("Cast", behind, name="behind_float", to=FLOAT), each, name="slopes_bias")


def _by_place(g: Builder, mask: ir.Value, table: ir.Value) -> ir.Value:
    """Return the rows of ``table`` [context, heads] at each key's place in its sequence, [batch, heads, 1, total]."""
    one = g.constant("one_int64", np.array(1))
    counted = g.op("Sub", g.op("CumSum", mask, one, name="counted"), one, name="counted_from_0")
    places = g.op("Mul", counted, mask, name="key_places")
    rows = g.op("Transpose", g.op("Gather", table, places, name="bias_by_key"), name="bias_by_head", perm=[0, 2, 1])
    return g.op("Unsqueeze", rows, g.constant("axis_2", np.array([2])), name="bias_of_places")


def _total(g: Builder, mask: ir.Value) -> ir.Value:
    return g.op("Cast", g.op("Shape", mask, name="total", start=1, end=2), name=TOTAL, to=INT32)


def _vector(g: Builder, value: int) -> ir.Value:
    return g.constant(f"vector_{value}", np.array([value], np.int64))
