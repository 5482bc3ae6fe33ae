"""Tensors made of numbers, and padding."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgepack.coreml.ops.registry import Ints, op

_MODES = {"reflect": "reflect", "replicate": "replicate"}


@op("fill", exact=True)
def fill(shape: Ints, value: Tensor | None = None) -> Tensor:
    """Return ``value`` (or 0.0) everywhere."""
    value = torch.zeros(()) if value is None else value
    return value.reshape(()).expand(shape)


@op("fill_like", exact=True)
def fill_like(ref_tensor: Tensor, value: Tensor | None = None) -> Tensor:
    """Return ``value`` (or 0.0) in the shape of ``ref_tensor``."""
    value = torch.zeros(()) if value is None else value
    return value.reshape(()).expand(ref_tensor.shape)


@op("range_1d")
def range_1d(end: Tensor, start: Tensor, step: Tensor) -> Tensor:
    """Return start, start + step, … before end."""
    return torch.arange(start.item(), end.item(), step.item(), dtype=start.dtype)


@op("one_hot", exact=True)
def one_hot(
    indices: Tensor,
    one_hot_vector_size: int,
    axis: int = -1,
    on_value: Tensor | None = None,
    off_value: Tensor | None = None,
) -> Tensor:
    """Return the on value where the new dimension ``axis`` equals the index, else off; a negative index gives off."""
    on = torch.tensor(1, dtype=torch.int32) if on_value is None else on_value
    off = torch.tensor(0, dtype=torch.int32) if off_value is None else off_value
    hot = indices.unsqueeze(-1) == torch.arange(one_hot_vector_size)
    return torch.where(hot, on, off).movedim(-1, axis)


@op("band_part", exact=True)
def band_part(x: Tensor, lower: int = -1, upper: int = -1) -> Tensor:
    """Return 0 below ``lower`` and above ``upper`` diagonals; -1 keeps all."""
    rows, columns = torch.arange(x.shape[-2])[:, None], torch.arange(x.shape[-1])
    kept = torch.ones(x.shape[-2:], dtype=torch.bool)
    kept = kept if lower < 0 else kept & (rows - columns <= lower)
    kept = kept if upper < 0 else kept & (columns - rows <= upper)
    return torch.where(kept, x, torch.zeros_like(x))


@op("pad", exact=True)
def pad(x: Tensor, pad: Ints, mode: str = "constant", constant_val: float = 0.0) -> Tensor:
    """Return (before, after) for the last dimensions, first to last; constant, reflect or replicate."""
    if mode == "constant":
        pairs = [*zip(pad[::2], pad[1::2], strict=True)]
        return F.pad(x, [amount for both in reversed(pairs) for amount in both], value=constant_val)
    first = x.dim() - len(pad) // 2
    for axis, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True), first):
        x = _extended(x, axis, before, after, mode)
    return x


def _extended(x: Tensor, axis: int, before: int, after: int, mode: str) -> Tensor:
    """Extend it by indices that are mirrored at the edges, or held there."""
    side = x.shape[axis]
    places = torch.arange(-before, side + after)
    if mode == "reflect":
        places = (side - 1) - ((places.abs()) - (side - 1)).abs()
    return x.index_select(axis, places.clamp(0, side - 1)) if before or after else x


@op("cumsum")
def cumsum(x: Tensor, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Return running sums, from the end if reversed, without the element itself if exclusive."""
    x = x.flip(axis) if reverse else x
    sums = x.cumsum(axis)
    sums = sums - x if exclusive else sums
    return sums.flip(axis) if reverse else sums


@op("non_zero", exact=True)
def non_zero(x: Tensor) -> Tensor:
    """Return int32 [count, rank]: where ``x`` is not 0."""
    return x.nonzero()
