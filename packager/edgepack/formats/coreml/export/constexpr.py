"""Put compressed weights into a MIL program: the constexpr operators that restore them when the model is loaded."""

from __future__ import annotations

from functools import singledispatch

import numpy as np
from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  (as everybody calls it)
from coremltools.converters.mil.mil import types
from coremltools.optimize._utils import pack_elements_into_bits

from edgepack.arrays import Array
from edgepack.documents import JsonDict
from edgepack.formats.coreml._mil import Var
from edgepack.formats.coreml.export.compressed import Affine, Encoding, Floats, Palette, Sparse

_BYTE = 8  # bits


def store(encoding: Encoding, before: Var, *, newest: bool) -> Var:
    """Return the variable that restores ``encoding``, in front of the operation ``before``, whose name it takes.

    ``newest`` writes iOS 18's operators, which know blocks, groups and integers of less than a byte; else iOS 16's.
    """
    return _store(encoding, {"name": f"{before.name}_compressed", "before_op": before}, newest)


@singledispatch
def _store(encoding: Encoding, place: JsonDict, newest: bool) -> Var:
    raise NotImplementedError(type(encoding).__name__)


@_store.register
def _(encoding: Affine, place: JsonDict, newest: bool) -> Var:
    values = encoding.values.reshape(encoding.shape)
    if not newest:
        zero = np.int8(0) if len(encoding.scale) == 1 else np.zeros(len(encoding.scale), np.int8)
        return mb.constexpr_affine_dequantize(
            quantized_data=values, zero_point=zero, scale=encoding.scale.ravel(), axis=np.int32(0), **place
        )
    return mb.constexpr_blockwise_shift_scale(data=_integers(values, encoding.bits), scale=_scales(encoding), **place)


@_store.register
def _(encoding: Palette, place: JsonDict, newest: bool) -> Var:
    if not newest:
        packed = pack_elements_into_bits(encoding.indices, encoding.bits)
        return mb.constexpr_lut_to_dense(indices=packed, lut=encoding.tables[0], shape=_sides(encoding.shape), **place)
    return mb.constexpr_lut_to_dense(
        indices=_indices(encoding.indices.reshape(encoding.shape), encoding.bits), lut=_tables(encoding, place), **place
    )


@_store.register
def _(encoding: Sparse, place: JsonDict, newest: bool) -> Var:
    mask, values = _left(encoding.whole, encoding.mask, place)
    if not newest:
        packed, shape = np.packbits(encoding.mask.ravel(), bitorder="little"), _sides(encoding.whole.shape)
        return mb.constexpr_sparse_to_dense(nonzero_data=values, mask=packed, shape=shape, **place)
    return mb.constexpr_sparse_to_dense(nonzero_data=values, mask=mask, **place)


@singledispatch
def _left(whole: Var, mask: Array, place: JsonDict) -> tuple[Var, Var]:
    """Return the mask in the weight's shape, and the values of ``whole`` where it is set, in iOS 18's operators."""
    raise NotImplementedError(type(whole).__name__)


@_left.register
def _(whole: Floats, mask: Array, place: JsonDict) -> tuple[Var, Var]:
    return _set(mask, whole.shape), whole.values[mask]


@_left.register
def _(whole: Affine, mask: Array, place: JsonDict) -> tuple[Var, Var]:
    return mb.constexpr_sparse_blockwise_shift_scale(
        data_mask=_set(mask, whole.shape),
        nonzero_data=_integers(whole.values[mask], whole.bits),
        scale=_scales(whole),
        **_named(place, "values"),
    )


@_left.register
def _(whole: Palette, mask: Array, place: JsonDict) -> tuple[Var, Var]:
    return mb.constexpr_lut_to_sparse(
        indices_mask=_set(mask, whole.shape),
        indices_nonzero_data=_indices(whole.indices[mask], whole.bits),
        lut=_tables(whole, place),
        **_named(place, "values"),
    )


def _tables(encoding: Palette, place: JsonDict) -> Var:
    """Return [groups, 1, …, 2 ** bits, 1]; of integers the variable that scales them."""
    ones = (1,) * (len(encoding.shape) - 1)
    tables = encoding.tables.reshape(len(encoding.tables), *ones, -1, 1)
    if encoding.scale is None:
        return tables
    scale = encoding.scale.reshape(-1, *ones, 1, 1)
    return mb.constexpr_blockwise_shift_scale(data=tables, scale=scale, **_named(place, "table"))


def _scales(encoding: Affine) -> Array:
    return encoding.scale.reshape(*encoding.scale.shape, *(1,) * (len(encoding.shape) - 2))


def _integers(values: Array, bits: int) -> Array:
    return values if bits == _BYTE else values.astype(types.nptype_from_builtin(types.int4))


def _indices(indices: Array, bits: int) -> Array:
    return indices.astype(types.nptype_from_builtin(types.string_to_builtin(f"uint{bits}")))


def _set(mask: Array, shape: tuple[int, ...]) -> Array:
    return mask.reshape(shape).astype(types.nptype_from_builtin(types.uint1))


def _named(place: JsonDict, part: str) -> JsonDict:
    return place | {"name": f"{place['name']}_{part}"}


def _sides(shape: tuple[int, ...]) -> Array:
    return np.array(shape, np.uint32)
