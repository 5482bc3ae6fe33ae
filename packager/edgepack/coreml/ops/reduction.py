"""Reductions over axes; without axes over all."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from edgepack.coreml.ops.registry import Ints, op

_Reduce = Callable[[Tensor, Ints, bool], Tensor]


def _prod(x: Tensor, axes: Ints, keep: bool) -> Tensor:
    for axis in sorted((axis % x.dim() for axis in axes), reverse=True):
        x = torch.prod(x, axis, keep)
    return x


_REDUCTIONS: dict[str, _Reduce] = {
    "reduce_l1_norm": lambda x, axes, keep: x.abs().sum(axes, keep),
    "reduce_l2_norm": lambda x, axes, keep: x.square().sum(axes, keep).sqrt(),
    "reduce_log_sum": lambda x, axes, keep: x.sum(axes, keep).log(),
    "reduce_log_sum_exp": lambda x, axes, keep: torch.logsumexp(x, axes, keep),
    "reduce_max": lambda x, axes, keep: torch.amax(x, axes, keep),
    "reduce_mean": lambda x, axes, keep: x.float().mean(axes, keep),
    "reduce_min": lambda x, axes, keep: torch.amin(x, axes, keep),
    "reduce_prod": _prod,
    "reduce_sum": lambda x, axes, keep: x.sum(axes, keep),
    "reduce_sum_square": lambda x, axes, keep: x.square().sum(axes, keep),
}


def _register(kind: str, reduce: _Reduce) -> None:
    def apply(x: Tensor, axes: Ints | None = None, keep_dims: bool = False) -> Tensor:
        every = tuple(range(x.dim()))
        return x if not every else reduce(x, axes or every, keep_dims)

    op(kind, exact=kind in ("reduce_max", "reduce_min"))(apply)


for _kind, _reduce in _REDUCTIONS.items():
    _register(_kind, _reduce)


@op("reduce_argmax", exact=True)
def reduce_argmax(x: Tensor, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32") -> Tensor:
    """Return where the first of the largest values lies along ``axis``."""
    return torch.argmax(x, axis, keep_dims)


@op("reduce_argmin", exact=True)
def reduce_argmin(x: Tensor, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32") -> Tensor:
    """Return where the first of the least values lies along ``axis``."""
    return torch.argmin(x, axis, keep_dims)
