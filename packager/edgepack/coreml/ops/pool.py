"""Pooling over one, two or three spatial dimensions; x [N, C, …]."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from edgepack.coreml.ops.padding import Pads, amounts, padded
from edgepack.coreml.ops.registry import Ints, op

_MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_MEAN = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


@op("max_pool", exact=True)
def max_pool(
    x: Tensor,
    kernel_sizes: Ints,
    strides: Ints | None = None,
    pad_type: str = "valid",
    pad: Ints | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the largest value of each window; padding counts as nothing."""
    strides = strides or (1,) * len(kernel_sizes)
    pads, beyond = _pads(x, kernel_sizes, strides, pad_type, pad, ceil_mode)
    x = padded(padded(x, pads, -torch.inf), beyond, -torch.inf)
    return _MAX[len(kernel_sizes)](x, kernel_sizes, strides)


@op("avg_pool")
def avg_pool(
    x: Tensor,
    kernel_sizes: Ints,
    strides: Ints | None = None,
    pad_type: str = "valid",
    pad: Ints | None = None,
    exclude_padding_from_average: bool = False,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the mean of each window, of zeros in the padding too unless they are excluded."""
    strides = strides or (1,) * len(kernel_sizes)
    pads, beyond = _pads(x, kernel_sizes, strides, pad_type, pad, ceil_mode)
    mean = _MEAN[len(kernel_sizes)](padded(padded(x, pads), beyond), kernel_sizes, strides)
    if not exclude_padding_from_average and not any(after for _, after in beyond):
        return mean
    ones = torch.ones_like(x[:1, :1])
    counted = padded(ones, pads, 0.0 if exclude_padding_from_average else 1.0)
    return mean / _MEAN[len(kernel_sizes)](padded(counted, beyond), kernel_sizes, strides)


@op("l2_pool")
def l2_pool(
    x: Tensor,
    kernel_sizes: Ints,
    strides: Ints | None = None,
    pad_type: str = "valid",
    pad: Ints | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the root of each window's sum of squares."""
    strides = strides or (1,) * len(kernel_sizes)
    pads, beyond = _pads(x, kernel_sizes, strides, pad_type, pad, ceil_mode)
    mean = _MEAN[len(kernel_sizes)](padded(padded(x.square(), pads), beyond), kernel_sizes, strides)
    return (mean * prod(kernel_sizes)).sqrt()


def _pads(x: Tensor, kernel: Ints, strides: Ints, pad_type: str, pad: Ints | None, ceil: bool) -> tuple[Pads, Pads]:
    """Return the padding, and what a last window that ``ceil`` lets in has beyond it."""
    pads = amounts(pad_type, pad, x.shape[2:], kernel, strides)
    beyond = []
    for size, (before, after), window, stride in zip(x.shape[2:], pads, kernel, strides, strict=True):
        whole = size + before + after
        over = -(whole - window) % stride if ceil else 0
        starts = whole - window + over  # where the last window would start
        dropped = starts >= size + before and (before or after)
        beyond.append((0, 0 if dropped else over))
    return pads, beyond
