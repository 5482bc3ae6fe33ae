"""8-bit weights and activations with scales from calibration (QDQ), for convolutional models.

The weights are stored unsigned, with 128 as their zero: x86 without VNNI saturates u8 * s8 products (see rounding.py)
and multiplies u8 * u8 exactly, so that every processor computes the same. The values are those of int8.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.tools.symbolic_shape_infer import SymbolicShapeInference

from edgepack.arrays import Array
from edgepack.errors import DataError
from edgepack.formats.onnx._graph import Graph
from edgepack.formats.onnx.export.linears import split_attention
from edgepack.records import Coverage, Recipe, Skipped

_OPERATORS = ("Conv", "MatMul", "Gemm")


class _Reader(CalibrationDataReader):
    """Calibration inputs one at a time, so that memory does not grow with their number."""

    def __init__(self, feeds: Sequence[Mapping[str, Array]]) -> None:
        self._left = iter(feeds)

    def get_next(self) -> dict[str, Array] | None:
        feed = next(self._left, None)
        return dict(feed) if feed is not None else None


def quantize(model: Path, out: Path, recipe: Recipe, calibration: Sequence[Mapping[str, Array]]) -> Coverage:
    """Return per-channel weights, u8 activations between the extremes of ``calibration``.

    Raises DataError without inputs.
    """
    if not calibration:
        raise DataError("int8-static needs calibration inputs")
    with _quiet(), tempfile.TemporaryDirectory(dir=out.parent) as folder:
        whole, simple = Path(folder) / "whole.onnx", Path(folder) / "simple.onnx"
        graph = Graph(model)
        split_attention(graph)
        graph.save(whole)
        _fold(whole, simple)
        _complete(simple)
        quantize_static(
            str(simple),
            str(out),
            _Reader(calibration),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*_OPERATORS, "Add", "GlobalAveragePool", "Clip"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
    proto = onnx.load(out)
    _unsign(proto)
    _keep_versions(onnx.load(model, load_external_data=False), proto)
    onnx.save(proto, out)
    return _coverage(proto)


def _fold(model: Path, out: Path) -> None:
    """Fold padding into convolutions, constants into one another: each left alone would be rounded on its own."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(out)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _complete(model: Path) -> None:
    """State every value's type, without which a tensor gets no scale, and give each convolution a bias of its own.

    onnx does not know the types behind ONNX Runtime's own operators; the exporter makes equal biases one, whose scale
    would have to be that of several inputs.
    """
    proto = SymbolicShapeInference.infer_shapes(onnx.load(model), auto_merge=True)
    tensors = {tensor.name: tensor for tensor in proto.graph.initializer}
    seen: set[str] = set()
    for node in proto.graph.node:
        if node.op_type not in ("Conv", "Gemm") or len(node.input) < 3 or node.input[2] not in tensors:
            continue
        if node.input[2] in seen:
            own = onnx.TensorProto()
            own.CopyFrom(tensors[node.input[2]])
            own.name = f"{node.output[0]}.bias"
            proto.graph.initializer.append(own)
            node.input[2] = own.name
        seen.add(node.input[2])
    onnx.save(proto, model)


def _unsign(model: onnx.ModelProto) -> None:
    """Rewrite int8 weights as uint8 with the zero point 128: the same values."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        weight = tensors.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if weight is not None and weight.data_type == onnx.TensorProto.INT8:
            values = (onnx.numpy_helper.to_array(weight).astype(np.int16) + 128).astype(np.uint8)
            zero = tensors[node.input[2]]
            weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
            middle = np.full(tuple(zero.dims), 128, np.uint8)
            zero.CopyFrom(onnx.numpy_helper.from_array(middle, zero.name))


def _keep_versions(before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    """Keep the original's IR version and operator sets; ONNX Runtime's pass writes its own newest."""
    used = {node.domain for node in after.graph.node}
    after.ir_version = before.ir_version
    kept = [entry for entry in after.opset_import if entry.domain in used]
    del after.opset_import[:]
    after.opset_import.extend(kept)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the root logger's advice to pre-process: export and fusion have done that."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


def _coverage(model: onnx.ModelProto) -> Coverage:
    """Count on what was written: int8 kernels against float ones."""
    sizes = {t.name: (t.data_type, int(np.prod(t.dims))) for t in model.graph.initializer if len(t.dims) > 1}
    done = sum(size for kind, size in sizes.values() if kind in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8))
    left = {name: size for name, (kind, size) in sizes.items() if kind == onnx.TensorProto.FLOAT and size > 256}
    return Coverage(
        compressed=done,
        total=done + sum(left.values()),
        skipped=tuple(Skipped(tensor=name, reason="no operand of Conv, MatMul or Gemm") for name in sorted(left)),
    )
