"""Half precision weights and operators; inputs and outputs stay float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

from edgepack.arrays import Array
from edgepack.records import Coverage, Recipe


def quantize(model: Path, out: Path, recipe: Recipe, calibration: Sequence[Mapping[str, Array]]) -> Coverage:
    """Convert ``model`` with onnxruntime's own pass; where a processor has no such kernel, it computes in float32."""
    converted = convert_float_to_float16(onnx.load(model), keep_io_types=True, disable_shape_infer=True)
    total = sum(_size(tensor) for tensor in converted.graph.initializer if tensor.data_type in _FLOATS)
    halved = sum(_size(t) for t in converted.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16)
    onnx.save(converted, out)
    return Coverage(compressed=halved, total=total)


_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)


def _size(tensor: onnx.TensorProto) -> int:
    size = 1
    for side in tensor.dims:
        size *= side
    return size
