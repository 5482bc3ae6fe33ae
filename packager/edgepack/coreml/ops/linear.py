"""Matrix products."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgepack.coreml.ops.registry import Tensors, op


@op("linear", fresh=True)
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return product x weightᵀ + bias; weight [out, in]."""
    return F.linear(x, weight, bias)


@op("matmul", fresh=True)
def matmul(x: Tensor, y: Tensor, transpose_x: bool = False, transpose_y: bool = False) -> Tensor:
    """Return product x y, batches broadcast; the last two dimensions are swapped before where asked for."""
    x = x.mT if transpose_x and x.dim() > 1 else x
    y = y.mT if transpose_y and y.dim() > 1 else y
    return torch.matmul(x, y)


@op("einsum")
def einsum(values: Tensors, equation: str) -> Tensor:
    """Compute Einstein's summation."""
    return torch.einsum(equation, *values)
