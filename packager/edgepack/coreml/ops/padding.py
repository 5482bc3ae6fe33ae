"""How convolutions and pools pad: the amounts before and after each spatial dimension."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from edgepack.coreml.ops.registry import Ints

Pads = list[tuple[int, int]]


def amounts(pad_type: str, pad: Ints | None, sizes: Sequence[int], kernel: Sequence[int], strides: Ints) -> Pads:
    """Return (before, after) for each of ``sizes``; ``kernel`` with dilation counted in.

    "same" pads such that ceil(size / stride) windows fit, the odd one after; "same_lower" before.
    """
    if pad_type == "custom" and pad:
        return list(zip(pad[::2], pad[1::2], strict=True))
    if not pad_type.startswith("same"):
        return [(0, 0)] * len(sizes)
    pads: Pads = []
    for size, window, stride in zip(sizes, kernel, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + window - size, 0)
        less, more = total // 2, total - total // 2
        pads.append((more, less) if pad_type == "same_lower" else (less, more))
    return pads


def padded(x: Tensor, pads: Pads, value: float = 0.0) -> Tensor:
    """Return ``x`` with ``value`` around its last dimensions."""
    flat = [amount for both in reversed(pads) for amount in both]
    return F.pad(x, flat, value=value) if any(flat) else x
