"""Values taken from, and put to, places that indices name. Negative indices count from the end."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from edgepack.coreml.ops.registry import op

_REDUCE = {"add": "sum", "sub": "sum", "mul": "prod", "div": "prod", "max": "amax", "min": "amin"}
_Where = Callable[[Tensor], Tensor]


def _placed(indices: Tensor, side: int) -> Tensor:
    """Return the indices counted from 0 on, as torch wants them."""
    indices = indices.long()
    return torch.where(indices < 0, indices + side, indices)


@op("gather", exact=True)
def gather(x: Tensor, indices: Tensor, axis: int = 0, batch_dims: int = 0, validate_indices: bool = False) -> Tensor:
    """Return slices of ``x`` along ``axis``, in the shape of ``indices``; the batch dimensions of both go together."""
    axis %= x.dim()
    indices = _placed(indices, x.shape[axis])
    if not batch_dims:
        shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
        return x.index_select(axis, indices.reshape(-1)).reshape(shape)
    batch, count = x.shape[:batch_dims], indices.shape[batch_dims:]
    flat = x.reshape(-1, *x.shape[batch_dims:])
    rows = [
        part.index_select(axis - batch_dims, where.reshape(-1))
        for part, where in zip(flat, indices.reshape(len(flat), -1), strict=True)
    ]
    return torch.stack(rows).reshape(*batch, *x.shape[batch_dims:axis], *count, *x.shape[axis + 1 :])


@op("gather_along_axis", exact=True)
def gather_along_axis(x: Tensor, indices: Tensor, axis: int = 0, validate_indices: bool = False) -> Tensor:
    """Gather as numpy's take_along_axis does."""
    return torch.take_along_dim(x, _placed(indices, x.shape[axis]), axis)


@op("gather_nd", exact=True)
def gather_nd(x: Tensor, indices: Tensor, batch_dims: int = 0, validate_indices: bool = False) -> Tensor:
    """Return slices whose places lie in the last dimension of ``indices``."""
    depth = indices.shape[-1]
    if not batch_dims:
        return x[tuple(_placed(indices[..., place], x.shape[place]) for place in range(depth))]
    flat, places = x.reshape(-1, *x.shape[batch_dims:]), indices.reshape(-1, *indices.shape[batch_dims:])
    rows = [gather_nd(part, where) for part, where in zip(flat, places, strict=True)]
    stacked = torch.stack([row for row in rows if isinstance(row, Tensor)])
    return stacked.reshape(*x.shape[:batch_dims], *stacked.shape[1:])


def _combined(data: Tensor, where: Tensor, updates: Tensor, mode: str) -> Tensor:
    """Return flat ``data`` with ``updates`` at the flat places ``where``."""
    if mode == "update":
        return data.scatter(0, where, updates)
    updates = -updates if mode == "sub" else torch.reciprocal(updates) if mode == "div" else updates
    return data.scatter_reduce(0, where, updates.to(data.dtype), _REDUCE[mode])


@op("scatter_along_axis")
def scatter_along_axis(
    data: Tensor, indices: Tensor, updates: Tensor, axis: int = 0, mode: str = "add", validate_indices: bool = False
) -> Tensor:
    """Return ``updates`` put to where ``indices`` say along ``axis``; repeated places are combined by ``mode``."""
    where = torch.meshgrid(*[torch.arange(side) for side in indices.shape], indexing="ij")
    places = [grid.reshape(-1) for grid in where]
    places[axis % data.dim()] = _placed(indices, data.shape[axis]).reshape(-1)
    return _put(data, places, updates.reshape(-1), mode)


@op("scatter")
def scatter(
    data: Tensor, indices: Tensor, updates: Tensor, axis: int = 0, mode: str = "add", validate_indices: bool = False
) -> Tensor:
    """Return slices ``updates`` put to the places ``indices`` [count] along ``axis``."""
    axis %= data.dim()
    rows = data.movedim(axis, 0)
    result = scatter_nd(rows, indices.reshape(-1, 1), updates.movedim(axis, 0), mode)
    assert isinstance(result, Tensor)
    return result.movedim(0, axis)


@op("scatter_nd")
def scatter_nd(
    data: Tensor, indices: Tensor, updates: Tensor, mode: str = "add", validate_indices: bool = False
) -> Tensor:
    """Return slices put to the places that lie in the last dimension of ``indices``."""
    depth = indices.shape[-1]
    heads = [_placed(indices[..., place], data.shape[place]).reshape(-1) for place in range(depth)]
    inner = [torch.arange(side) for side in data.shape[depth:]]
    count = len(heads[0])
    rank = 1 + len(inner)
    places = [head.reshape(-1, *[1] * len(inner)) for head in heads]
    places += [one.reshape([-1 if axis == place else 1 for axis in range(rank)]) for place, one in enumerate(inner, 1)]
    spread = [place.expand(count, *data.shape[depth:]).reshape(-1) for place in places]
    return _put(data, spread, updates.reshape(-1), mode)


def _put(data: Tensor, places: list[Tensor], updates: Tensor, mode: str) -> Tensor:
    where = torch.zeros_like(updates, dtype=torch.int64)
    for place, side in zip(places, data.shape, strict=True):
        where = where * side + place
    return _combined(data.reshape(-1), where, updates, mode).reshape(data.shape)
