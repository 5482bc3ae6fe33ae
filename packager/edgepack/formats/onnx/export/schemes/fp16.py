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
    loaded = onnx.load(model)
    _store_constants(loaded.graph)
    converted = convert_float_to_float16(loaded, keep_io_types=True, disable_shape_infer=True)
    total = sum(_size(tensor) for tensor in converted.graph.initializer if tensor.data_type in _FLOATS)
    halved = sum(_size(t) for t in converted.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16)
    onnx.save(converted, out)
    return Coverage(compressed=halved, total=total)


def _store_constants(graph: onnx.GraphProto) -> None:
    """Make initializers of constants: of these alone the pass knows which stay float32, such as a Resize's scales."""
    constants = [node for node in graph.node if node.op_type == "Constant" and node.attribute[0].name == "value"]
    for node in constants:
        tensor = node.attribute[0].t
        tensor.name = node.output[0]
        graph.initializer.append(tensor)
        graph.node.remove(node)


_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)


def _size(tensor: onnx.TensorProto) -> int:
    size = 1
    for side in tensor.dims:
        size *= side
    return size
