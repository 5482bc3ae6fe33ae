"""Order; ties keep it."""

from __future__ import annotations

import torch
from torch import Tensor

from edgepack.coreml.ops.registry import op


@op("argsort", exact=True)
def argsort(x: Tensor, axis: int = -1, ascending: bool = False) -> Tensor:
    """Return int32: the places of the values in order."""
    return (
        torch.sort(x, dim=axis, descending=not ascending, stable=True).indices
        if x.dim()
        else torch.zeros((), dtype=torch.int32)
    )


@op("topk", exact=True)
def topk(
    x: Tensor,
    k: int = 1,
    axis: int = -1,
    ascending: bool = False,
    sort: bool = True,
    return_indices: bool = True,
    output_indices_dtype: str = "int32",
) -> tuple[Tensor, ...]:
    """Return (values, their places): the ``k`` largest, or least if ascending.

    They are sorted also where it is not asked.
    """
    ordered = torch.sort(x, dim=axis, descending=not ascending, stable=True)
    values, indices = ordered.values.narrow(axis, 0, k), ordered.indices.narrow(axis, 0, k)
    return (values, indices) if return_indices else (values,)
