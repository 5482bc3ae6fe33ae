"""Compressed weights made dense: the constexpr ops of iOS 16 and iOS 18, as their definitions say.

Results have the dtype of the scale or the table; sums are in float32 and rounded once. Ref.: coremltools' MIL op
definitions, iOS16/constexpr_ops and iOS18/compression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

import numpy as np

from edgepack.arrays import Array
from edgepack.coreml.dtypes import MIL

Given = Mapping[str, Array]
_PACKED = {dtype.bits: dtype for dtype in MIL.values() if dtype.name.startswith("uint") and dtype.packed}


def affine_dequantize(given: Given) -> tuple[Array, ...]:
    """Scale · (data - zero point), along one axis."""
    data, axis = given["quantized_data"], int(given["axis"])
    sides = [side if place == axis % data.ndim else 1 for place, side in enumerate(data.shape)]
    scale, zero = (value.reshape(sides) if value.size > 1 else value for value in (given["scale"], given["zero_point"]))
    return (_shifted(data, scale, zero),)


def blockwise_shift_scale(given: Given) -> tuple[Array, ...]:
    """Scale · (data - offset), each block of ``data`` with its own."""
    data = given["data"]
    scale, offset = _spread(given["scale"], data.shape), given.get("offset")
    return (_shifted(data, scale, None if offset is None else _spread(offset, data.shape)),)


def lut_to_dense(given: Given) -> tuple[Array, ...]:
    """Return indices replaced by values (or vectors) of their group's table; iOS 16 packs them into bytes."""
    if "shape" in given:
        shape = tuple(int(side) for side in given["shape"])
        bits = int(given["lut"].size).bit_length() - 1
        raw = given["indices"]
        indices = raw if bits == 8 else _PACKED[bits].decode(raw.tobytes(), prod(shape))
        return (given["lut"][indices].reshape(shape),)
    return (_looked_up(given["indices"], given["lut"], given.get("vector_axis")),)


def sparse_to_dense(given: Given) -> tuple[Array, ...]:
    """Return values at the places where the mask is set, else 0; iOS 16 packs the mask into bytes."""
    mask = given["mask"]
    if "shape" in given:
        shape = tuple(int(side) for side in given["shape"])
        mask = _PACKED[1].decode(mask.tobytes(), prod(shape)).reshape(shape)
    return (_filled(given["nonzero_data"], mask),)


def cast(given: Given) -> tuple[Array, ...]:
    """Return float16 as float32."""
    return (given["source_val"].astype(np.float32),)


def lut_to_sparse(given: Given) -> tuple[Array, ...]:
    """Return (mask, values) of indices that are kept where the mask is set."""
    mask, axis = given["indices_mask"], given.get("vector_axis")
    dense = _looked_up(_filled(given["indices_nonzero_data"], mask), given["lut"], axis)
    size = given["lut"].shape[-1]
    mask = mask if size == 1 or axis is None else np.repeat(mask, size, int(axis))
    return mask, dense[mask != 0]


def sparse_blockwise_shift_scale(given: Given) -> tuple[Array, ...]:
    """Return (mask, values), the values dequantized by blocks of the dense tensor."""
    mask = given["data_mask"]
    dense = {"data": _filled(given["nonzero_data"], mask), "scale": given["scale"]}
    if "offset" in given:
        dense["offset"] = given["offset"]
    return mask, blockwise_shift_scale(dense)[0][mask != 0]


DENSE: Mapping[str, Callable[[Given], tuple[Array, ...]]] = {
    "constexpr_affine_dequantize": affine_dequantize,
    "constexpr_blockwise_shift_scale": blockwise_shift_scale,
    "constexpr_cast": cast,
    "constexpr_lut_to_dense": lut_to_dense,
    "constexpr_lut_to_sparse": lut_to_sparse,
    "constexpr_sparse_blockwise_shift_scale": sparse_blockwise_shift_scale,
    "constexpr_sparse_to_dense": sparse_to_dense,
}


def _shifted(data: Array, scale: Array, offset: Array | None) -> Array:
    values = data.astype(np.float32)
    if offset is not None:
        values -= offset.astype(np.float32)
        if offset.dtype.kind == "f" and scale.dtype == np.float16:
            values = values.astype(np.float16).astype(np.float32)  # the difference of halves is a half
    values *= scale.astype(np.float32)
    return values.astype(scale.dtype)


def _spread(value: Array, shape: tuple[int, ...]) -> Array:
    """Return ``value`` repeated along each axis to ``shape``, where broadcasting does not do it."""
    for axis, (side, whole) in enumerate(zip(value.shape, shape, strict=False)):
        if side not in (1, whole):
            value = np.repeat(value, whole // side, axis)
    return value


def _filled(values: Array, mask: Array) -> Array:
    dense = np.zeros(mask.shape, values.dtype)
    dense[mask != 0] = values
    return dense


def _looked_up(indices: Array, lut: Array, vector_axis: Array | None) -> Array:
    """Look up ``lut`` [groups along each axis of indices…, entries, vector]; the vector lies along ``vector_axis``."""
    groups, (entries, vector) = lut.shape[:-2], lut.shape[-2:]
    numbers = np.arange(prod(groups), dtype=np.int32).reshape(groups) * entries
    dense = lut.reshape(-1, vector)[indices + _spread(numbers, indices.shape)]
    if vector == 1 or vector_axis is None:
        return dense[..., 0]
    axis = int(vector_axis) % indices.ndim
    shape = [side * vector if place == axis else side for place, side in enumerate(indices.shape)]
    return np.moveaxis(dense, -1, axis + 1).reshape(shape)
