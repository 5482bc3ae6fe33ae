"""Parts of tensors, as numpy's slices cut them."""

from __future__ import annotations

import torch
from torch import Tensor

from edgepack.coreml.ops.registry import Flags, Ints, op
from edgepack.coreml.values import Value


def places(
    x: Tensor,
    begin: Ints,
    end: Ints,
    stride: Ints | None,
    begin_mask: Flags | None,
    end_mask: Flags | None,
    squeeze_mask: Flags | None,
) -> tuple[Value, ...]:
    """Return an index into ``x``: a slice per dimension, a number where it is squeezed, a tensor where it runs
    backwards.
    """
    index: list[Value] = []
    for axis, side in enumerate(x.shape):
        if squeeze_mask is not None and squeeze_mask[axis]:
            index.append(0 if begin_mask is not None and begin_mask[axis] else begin[axis])
            continue
        first = None if begin_mask is not None and begin_mask[axis] else begin[axis]
        last = None if end_mask is not None and end_mask[axis] else end[axis]
        step = stride[axis] if stride is not None else 1
        index.append(slice(first, last, step) if step > 0 else _backwards(slice(first, last, step), side))
    return tuple(index)


def _backwards(part: slice, side: int) -> Value:
    taken = list(range(*part.indices(side)))
    return torch.tensor(taken, dtype=torch.int64)


@op("slice_by_index", exact=True)
def slice_by_index(
    x: Tensor,
    begin: Ints,
    end: Ints,
    stride: Ints | None = None,
    begin_mask: Flags | None = None,
    end_mask: Flags | None = None,
    squeeze_mask: Flags | None = None,
) -> Tensor:
    """Return x[begin:end:stride, …]; a masked end is the dimension's own, a squeezed dimension is dropped."""
    index = places(x, begin, end, stride, begin_mask, end_mask, squeeze_mask)
    dropped = 0
    for axis, part in enumerate(index):  # one after the other: several index tensors at once would be paired
        x = x[(slice(None),) * (axis - dropped) + (part,)]
        dropped += isinstance(part, int)
    return x


@op("slice_by_size", exact=True)
def slice_by_size(x: Tensor, begin: Ints, size: Ints) -> Tensor:
    """Return ``size`` values from ``begin`` on in each dimension; -1 is all that are left."""
    for axis, (first, count) in enumerate(zip(begin, size, strict=True)):
        first += x.shape[axis] if first < 0 else 0
        x = x.narrow(axis, first, count if count >= 0 else x.shape[axis] - first)
    return x


@op("crop", exact=True)
def crop(x: Tensor, crop_height: Ints, crop_width: Ints) -> Tensor:
    """Return the last two dimensions without (before, after) of each."""
    (top, bottom), (left, right) = crop_height, crop_width
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


@op("sliding_windows", exact=True)
def sliding_windows(x: Tensor, axis: int, size: int, stride: int = 1) -> Tensor:
    """Return windows along ``axis``: it becomes [windows, size]."""
    axis %= x.dim()
    return x.unfold(axis, size, stride).movedim(-1, axis + 1)


@op("reverse", exact=True)
def reverse(x: Tensor, axes: Ints | None = None) -> Tensor:
    """Return reverse along ``axes``, or all of them."""
    return x.flip(axes if axes is not None else tuple(range(x.dim())))


@op("reverse_sequence", exact=True)
def reverse_sequence(x: Tensor, lengths: Ints, seq_axis: int = 0, batch_axis: int = 0) -> Tensor:
    """Return the first ``lengths[i]`` of each sequence backwards."""
    moved = x.movedim((batch_axis, seq_axis), (0, 1)).clone()
    for row, length in enumerate(lengths):
        moved[row, :length] = moved[row, :length].flip(0)
    return moved.movedim((0, 1), (batch_axis, seq_axis))
