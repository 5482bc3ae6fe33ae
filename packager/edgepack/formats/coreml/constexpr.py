"""Put compressed weights into a MIL program: the constexpr operators that restore them when the model is loaded."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  (as everybody calls it)
from coremltools.converters.mil.mil import types
from coremltools.optimize._utils import pack_elements_into_bits

from edgepack.formats.coreml.compressed import Affine, Form, Palette, Sparse
from edgepack.runtime.types import Array


def store(form: Form, before: Any, *, newest: bool) -> Any:
    """The variable that restores ``form``, in front of the operation ``before``, whose name it takes.

    ``newest`` writes iOS 18's operators, which know blocks, groups and integers of less than a byte; else iOS 16's.
    """
    return _store(form, {"name": f"{before.name}_compressed", "before_op": before}, newest)


def needs_newest(form: Form) -> bool:
    """Whether iOS 18 is the first that can restore ``form``."""
    if isinstance(form, Affine):
        return form.bits < 8 or form.scale.shape[1] > 1
    return isinstance(form, Palette) and (len(form.tables) > 1 or form.bits in (3, 5, 7))


@singledispatch
def _store(form: Any, place: dict[str, Any], newest: bool) -> Any:
    raise NotImplementedError(type(form).__name__)


@_store.register
def _(form: Affine, place: dict[str, Any], newest: bool) -> Any:
    values = form.values.reshape(form.shape)
    if not newest:
        zero = np.int8(0) if len(form.scale) == 1 else np.zeros(len(form.scale), np.int8)
        return mb.constexpr_affine_dequantize(
            quantized_data=values, zero_point=zero, scale=form.scale.ravel(), axis=np.int32(0), **place
        )
    if form.bits == 4:
        values = values.astype(types.nptype_from_builtin(types.int4))
    sides = (*form.scale.shape, *(1,) * (len(form.shape) - 2))
    return mb.constexpr_blockwise_shift_scale(data=values, scale=form.scale.reshape(sides), **place)


@_store.register
def _(form: Palette, place: dict[str, Any], newest: bool) -> Any:
    if not newest:
        packed = pack_elements_into_bits(form.indices, form.bits)
        return mb.constexpr_lut_to_dense(indices=packed, lut=form.tables[0], shape=_sides(form.shape), **place)
    kind = types.nptype_from_builtin(types.string_to_builtin(f"uint{form.bits}"))
    sides = (len(form.tables), *(1,) * (len(form.shape) - 1), form.tables.shape[1], 1)
    indices = form.indices.reshape(form.shape).astype(kind)
    return mb.constexpr_lut_to_dense(indices=indices, lut=form.tables.reshape(sides), **place)


@_store.register
def _(form: Sparse, place: dict[str, Any], newest: bool) -> Any:
    if not newest:
        mask = np.packbits(form.mask.ravel(), bitorder="little")
        return mb.constexpr_sparse_to_dense(nonzero_data=form.values, mask=mask, shape=_sides(form.shape), **place)
    mask = form.mask.reshape(form.shape).astype(types.nptype_from_builtin(types.uint1))
    return mb.constexpr_sparse_to_dense(nonzero_data=form.values, mask=mask, **place)


def _sides(shape: tuple[int, ...]) -> Array:
    return np.array(shape, np.uint32)
