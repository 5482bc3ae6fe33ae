"""Convolutions over one, two or three spatial dimensions; x [N, C, …]."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgepack.coreml.ops.padding import Pads, amounts, padded
from edgepack.coreml.ops.registry import Ints, op

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


@op("conv", fresh=True)
def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Ints | None = None,
    pad_type: str = "valid",
    pad: Ints | None = None,
    dilations: Ints | None = None,
    groups: int = 1,
) -> Tensor:
    """Return cross-correlation; weight [C out, C in / groups, …]."""
    spatial = x.dim() - 2
    strides, dilations = strides or (1,) * spatial, dilations or (1,) * spatial
    pads = amounts(pad_type, pad, x.shape[2:], _windows(weight, dilations), strides)
    around = tuple(before for before, after in pads if before == after)
    if len(around) < spatial:
        x, around = padded(x, pads), (0,) * spatial
    return _CONV[spatial](x, weight, bias, strides, around, dilations, groups)


@op("conv_transpose")
def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    pad: Ints | None = None,
    output_shape: Ints | None = None,
    pad_type: str = "valid",
    strides: Ints | None = None,
    dilations: Ints | None = None,
    groups: int = 1,
) -> Tensor:
    """Return the gradient of ``conv``; weight [C in, C out / groups, …].

    The padding is cut off what the full one gives.
    """
    spatial = x.dim() - 2
    strides, dilations = strides or (1,) * spatial, dilations or (1,) * spatial
    full = _TRANSPOSED[spatial](x, weight, bias, strides, 0, 0, groups, dilations)
    sizes = [side * stride for side, stride in zip(x.shape[2:], strides, strict=True)]
    wanted = list(output_shape[2:]) if output_shape else sizes
    if pad_type.startswith("same"):
        cuts = amounts(pad_type, None, wanted, _windows(weight, dilations), strides)
    else:
        cuts = amounts(pad_type, pad, x.shape[2:], _windows(weight, dilations), strides)
    if output_shape or pad_type.startswith("same"):
        cuts = [
            (before, side - size - before) for (before, _), side, size in zip(cuts, full.shape[2:], wanted, strict=True)
        ]
    return _cut(full, cuts, bias)


def _windows(weight: Tensor, dilations: Ints) -> list[int]:
    return [(side - 1) * step + 1 for side, step in zip(weight.shape[2:], dilations, strict=True)]


def _cut(full: Tensor, cuts: Pads, bias: Tensor | None) -> Tensor:
    """Return ``cuts`` off each spatial dimension; where one is negative no window reached, so only the bias is
    there.
    """
    missing = [(0, max(-after, 0)) for _, after in cuts]
    if any(after for _, after in missing):
        reached = padded(torch.ones_like(full[:1, :1]), missing)
        full = padded(full, missing)
        if bias is not None:
            full = full + (1 - reached) * bias.reshape(1, -1, *[1] * len(cuts))
    for dim, (before, after) in enumerate(cuts, 2):
        full = full.narrow(dim, before, full.shape[dim] - before - max(after, 0))
    return full
