"""Activations as 8-bit integers and back; scales and zero points are scalars, or vectors along ``axis``."""

from __future__ import annotations

import torch
from torch import Tensor

from edgepack.coreml.ops.registry import op

_RANGES = {"int8": (-128, 127), "uint8": (0, 255)}
_DTYPES = {"int8": torch.int8, "uint8": torch.uint8}


def _along(value: Tensor, x: Tensor, axis: int | None) -> Tensor:
    if not value.dim():
        return value
    return value.reshape([-1 if place == (axis or 0) % x.dim() else 1 for place in range(x.dim())])


@op("quantize", exact=True)
def quantize(
    input: Tensor, scale: Tensor, output_dtype: str, zero_point: Tensor | None = None, axis: int | None = None
) -> Tensor:
    """Return round(input / scale) + zero point, within the dtype."""
    steps = torch.round(input / _along(scale, input, axis))
    steps = steps if zero_point is None else steps + _along(zero_point, input, axis)
    return steps.clamp(*_RANGES[output_dtype]).to(_DTYPES[output_dtype])


@op("dequantize")
def dequantize(input: Tensor, scale: Tensor, zero_point: Tensor | None = None, axis: int | None = None) -> Tensor:
    """Scale (input - zero point)."""
    steps = input.float()
    steps = steps if zero_point is None else steps - _along(zero_point, input, axis).float()
    return steps * _along(scale, input, axis)
