"""The same values in another arrangement."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from edgepack.coreml.ops.registry import Ints, Tensors, op


@op("reshape", exact=True)
def reshape(x: Tensor, shape: Ints) -> Tensor:
    """Reshape; -1 is what is left, 0 keeps the side of ``x``."""
    if 0 in shape and x.numel():
        shape = tuple(side or x.shape[axis] for axis, side in enumerate(shape))
    return x.reshape(shape)


@op("reshape_like", exact=True)
def reshape_like(x: Tensor, ref_tensors: Tensors, begins: Tensors, ends: Tensors, end_masks: Tensors) -> Tensor:
    """Reshape to the sides of the references, from begin to end (masked: to the last) of each."""
    shape: list[int] = []
    for reference, begin, end, mask in zip(ref_tensors, begins, ends, end_masks, strict=True):
        shape += reference.shape[int(begin) : None if bool(mask) else int(end)]
    return x.reshape(shape)


@op("flatten2d", exact=True)
def flatten2d(x: Tensor, axis: int = 1) -> Tensor:
    """Return [product of the sides before ``axis``, product of the others]."""
    return x.reshape(prod(x.shape[:axis]), prod(x.shape[axis:]))


@op("transpose", exact=True)
def transpose(x: Tensor, perm: Ints) -> Tensor:
    """Transpose: dimension i of the result is perm[i] of ``x``."""
    return x.permute(perm)


@op("expand_dims", exact=True)
def expand_dims(x: Tensor, axes: Ints) -> Tensor:
    """Insert sides of 1 at ``axes`` of the result."""
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


@op("squeeze", exact=True)
def squeeze(x: Tensor, axes: Ints | None = None) -> Tensor:
    """Remove the sides of 1 at ``axes``, or at all."""
    return x.squeeze() if axes is None else x.squeeze(axes)


@op("shape", exact=True)
def shape(x: Tensor) -> Tensor:
    """Return int32 [rank]."""
    return torch.tensor(x.shape, dtype=torch.int32)


@op("concat", exact=True)
def concat(values: Tensors, axis: int, interleave: bool = False) -> Tensor:
    """Return one after the other along ``axis``, scalars too; interleaved, their slices take turns."""
    values = [torch.atleast_1d(value) for value in values]
    if not interleave:
        return torch.cat(values, axis)
    axis %= values[0].dim()
    return torch.stack(values, axis + 1).flatten(axis, axis + 1)


@op("stack", exact=True)
def stack(values: Tensors, axis: int) -> Tensor:
    """Return one beside the other in a new dimension."""
    return torch.stack(values, axis)


@op("split", exact=True)
def split(x: Tensor, axis: int, num_splits: int | None = None, split_sizes: Ints | None = None) -> tuple[Tensor, ...]:
    """Split into equal parts, or parts of the given sizes."""
    sizes = list(split_sizes) if split_sizes is not None else x.shape[axis] // (num_splits or 1)
    return torch.split(x, sizes, axis)


@op("tile", exact=True)
def tile(x: Tensor, reps: Ints) -> Tensor:
    """Return each dimension repeated as a whole."""
    return x.tile(reps)


@op("pixel_shuffle", exact=True)
def pixel_shuffle(x: Tensor, upscale_factor: int) -> Tensor:
    """Move channels to the image (Shi et al. 2016): [N, C f², H, W] to [N, C, H f, W f]."""
    return F.pixel_shuffle(x, upscale_factor)


@op("pixel_unshuffle", exact=True)
def pixel_unshuffle(x: Tensor, downscale_factor: int) -> Tensor:
    """Return the image to channels: [N, C, H f, W f] to [N, C f², H, W]."""
    return F.pixel_unshuffle(x, downscale_factor)


@op("space_to_depth", exact=True)
def space_to_depth(x: Tensor, block_size: int) -> Tensor:
    """Move blocks to channels, the channels of ``x`` innermost."""
    n, c, h, w = x.shape
    blocks = x.reshape(n, c, h // block_size, block_size, w // block_size, block_size).permute(0, 3, 5, 1, 2, 4)
    return blocks.reshape(n, c * block_size**2, h // block_size, w // block_size)


@op("depth_to_space", exact=True)
def depth_to_space(x: Tensor, block_size: int) -> Tensor:
    """Return the inverse of space_to_depth."""
    n, c, h, w = x.shape
    blocks = x.reshape(n, block_size, block_size, c // block_size**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return blocks.reshape(n, c // block_size**2, h * block_size, w * block_size)


@op("space_to_batch", exact=True)
def space_to_batch(x: Tensor, block_shape: Ints, paddings: Ints) -> Tensor:
    """Move blocks to the batch, outermost; x [N, C, H, W], paddings (top, bottom, left, right)."""
    x = F.pad(x, (*paddings[2:], *paddings[:2]))
    (n, c, h, w), (p, q) = x.shape, block_shape
    blocks = x.reshape(n, c, h // p, p, w // q, q).permute(3, 5, 0, 1, 2, 4)
    return blocks.reshape(n * p * q, c, h // p, w // q)


@op("batch_to_space", exact=True)
def batch_to_space(x: Tensor, block_shape: Ints, crops: Ints) -> Tensor:
    """Return the inverse of space_to_batch; crops (top, bottom, left, right)."""
    (n, c, h, w), (p, q) = x.shape, block_shape
    blocks = x.reshape(p, q, n // (p * q), c, h, w).permute(2, 3, 4, 0, 5, 1).reshape(n // (p * q), c, h * p, w * q)
    top, bottom, left, right = crops
    return blocks[:, :, top : h * p - bottom, left : w * q - right]
