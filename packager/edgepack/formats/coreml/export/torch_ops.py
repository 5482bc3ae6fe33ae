"""Operators of PyTorch that coremltools 9.0 does not convert, or not as PyTorch computes them: registered on import.

Masks of transformers 5 are made by ``new_ones`` and joined by ``|``; position tables are fitted to an image by bicubic
interpolation; BEiT writes single values into its table of relative positions. ``new_zeros`` and ``new_full`` exist in
coremltools, which makes floats whatever dtype they ask for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from coremltools.converters.mil.frontend.torch import ops
from coremltools.converters.mil.frontend.torch.ops import _get_inputs
from coremltools.converters.mil.frontend.torch.torch_op_registry import register_torch_op
from coremltools.converters.mil.frontend.torch.utils import NUM_TO_NUMPY_DTYPE
from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  (as everybody calls it)
from coremltools.converters.mil.mil import types
from torch import Tensor

from edgepack.arrays import Array
from edgepack.documents import Json
from edgepack.formats.coreml._mil import Context, Node, Var

Converter = Callable[[Context, Node], None]


def _converts(*names: str) -> Callable[[Converter], Converter]:
    """Registers the function below under its own name, and ``names``."""

    def register(function: Converter) -> Converter:
        register_torch_op(function, torch_alias=list(names), override=True)
        return function

    return register


@_converts()
def new_ones(context: Context, node: Node) -> None:
    """Convert ``tensor.new_ones(size, dtype)``."""
    given, size, *rest = _get_inputs(context, node, min_expected=2)
    _filled(context, node, given, size, 1, rest)


@_converts()
def new_zeros(context: Context, node: Node) -> None:
    """Convert ``tensor.new_zeros(size, dtype)``."""
    given, size, *rest = _get_inputs(context, node, min_expected=2)
    _filled(context, node, given, size, 0, rest)


@_converts()
def new_full(context: Context, node: Node) -> None:
    """Convert ``tensor.new_full(size, value, dtype)``."""
    given, size, value, *rest = _get_inputs(context, node, min_expected=3)
    _filled(context, node, given, size, value.val, rest)


@_converts("or")
def bitwise_or(context: Context, node: Node) -> None:
    """Convert ``|`` of booleans."""
    x, y = _get_inputs(context, node, expected=2)
    if not (types.is_bool(x.dtype) and types.is_bool(y.dtype)):
        raise NotImplementedError("Core ML has | for booleans only, not for integers")
    context.add(mb.logical_or(x=x, y=y, name=node.name))


@_converts()
def multiply(context: Context, node: Node) -> None:
    """Convert ``mul`` by its other name."""
    ops.mul(context, node)


_copied = ops._internal_op_tensor_inplace_copy


@_converts()
def _internal_op_tensor_inplace_copy(context: Context, node: Node) -> None:
    """Convert ``x[…] = y`` of a single place, where coremltools takes y for a vector of one and then refuses it."""
    first, second, *rest = node.inputs
    x, update = ops.promote_input_dtypes([context[first], context[second]])
    begin, _, _, _, _, single = ops._get_slice_params(context, x, rest)
    if not all(single) or begin.val is None:
        _copied(context, node)
        return
    place, ones, never = np.asarray(begin.val, np.int32) % np.array(x.shape, np.int32), [1] * x.rank, [False] * x.rank
    context.add(
        ops._translate_torch_tensor_assign(
            x=x,
            updates=mb.reshape(x=update, shape=ones),
            begin=place,
            end=place + 1,
            stride=ones,
            begin_mask=never,
            end_mask=never,
            squeeze_mask=never,
            name=node.name,
        )
    )


@_converts()
def upsample_bicubic2d(context: Context, node: Node) -> None:
    """Convert a bicubic resize, not antialiased."""
    _resampled(context, node, torch.ops.aten.upsample_bicubic2d)


@_converts()
def _upsample_bicubic2d_aa(context: Context, node: Node) -> None:
    """Convert a bicubic resize, antialiased."""
    _resampled(context, node, torch.ops.aten._upsample_bicubic2d_aa)


@_converts()
def _upsample_bilinear2d_aa(context: Context, node: Node) -> None:
    """Convert a bilinear resize, antialiased, which coremltools leaves out."""
    _resampled(context, node, torch.ops.aten._upsample_bilinear2d_aa)


def _filled(context: Context, node: Node, given: Var, size: Var, value: Json, rest: list[Var]) -> None:
    """Add a tensor of ``value`` in the dtype that is asked for, else in that of ``given``, as Core ML has it."""
    asked = rest[0] if rest else None
    kind = types.nptype_from_builtin(given.dtype) if asked is None else NUM_TO_NUMPY_DTYPE[int(asked.val)]
    if kind is not bool and np.issubdtype(kind, np.integer):
        kind = np.int32
    shape = mb.concat(values=size, axis=0) if isinstance(size, list) and size else size
    if not isinstance(shape, list) and tuple(shape.shape) != (0,):
        context.add(mb.fill(shape=shape, value=kind(value), name=node.name))
    else:
        context.add(mb.const(val=kind(value), name=node.name))  # a scalar, which ``fill`` does not make


def _resampled(context: Context, node: Node, function: Callable[..., Tensor]) -> None:
    """Add a resize along the height and the width, each a product with a matrix, made by ``function`` itself."""
    x, size, aligned, *scales = _get_inputs(context, node, min_expected=3)
    if any(not isinstance(side, int | np.integer) for side in x.shape[-2:]) or (size is not None and size.val is None):
        raise NotImplementedError("resampling to a size that is not known before it runs")
    factors = [scale.val for scale in scales if scale is not None]
    factors = [float(one) for factor in factors for one in np.atleast_1d(factor)] or [None, None]
    sides = [int(n) for n in size.val] if size is not None else _sides(x.shape[-2:], factors)
    corners = bool(aligned.val)
    down, across = (_matrix(function, *one, corners) for one in zip(x.shape[-2:], sides, factors, strict=True))
    for matrix, left in ((down, True), (across, False)):
        if not np.array_equal(matrix, np.eye(len(matrix), matrix.shape[1])):
            x = mb.matmul(x=matrix, y=x) if left else mb.matmul(x=x, y=matrix.T.copy())
    context.add(mb.identity(x=x, name=node.name))


def _sides(sides: Var, factors: list[float | None]) -> list[int]:
    """Round down, as PyTorch does."""
    return [int(side * factor) for side, factor in zip(sides, factors, strict=True) if factor is not None]


def _matrix(function: Callable[..., Tensor], side: int, wanted: int, factor: float | None, corners: bool) -> Array:
    """Return float32 [wanted, side]: how much each place counts in each new one."""
    unit = torch.eye(int(side)).reshape(1, 1, int(side), int(side))
    made: Array = function(unit, [wanted, int(side)], corners, factor, None)[0, 0].numpy()
    return made
