"""int8 weights and activations with scales from calibration (QDQ), for convolutional models."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from edgepack.errors import DataError
from edgepack.formats.onnx.graph import Array
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
    """Per-channel weights, u8 activations between the extremes of ``calibration``. Raises DataError without inputs."""
    if not calibration:
        raise DataError("int8-static needs calibration inputs")
    logging.getLogger().setLevel(logging.ERROR)  # its advice to pre-process: export and fusion have done that
    quantize_static(
        str(model),
        str(out),
        _Reader(calibration),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=[*_OPERATORS, "Add", "GlobalAveragePool", "Clip"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )
    return _coverage(onnx.load(out))


def _coverage(model: onnx.ModelProto) -> Coverage:
    """Counted on what was written: int8 kernels against float ones."""
    sizes = {t.name: (t.data_type, int(np.prod(t.dims))) for t in model.graph.initializer if len(t.dims) > 1}
    done = sum(size for kind, size in sizes.values() if kind in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8))
    left = {name: size for name, (kind, size) in sizes.items() if kind == onnx.TensorProto.FLOAT and size > 256}
    return Coverage(
        compressed=done,
        total=done + sum(left.values()),
        skipped=tuple(Skipped(tensor=name, reason="no operand of Conv, MatMul or Gemm") for name in sorted(left)),
    )
