"""Say what is in an ONNX file: interface, operators, and the weights' bytes by component."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import onnx

from edgepack.errors import ConversionError
from edgepack.quantization.components import component
from edgepack.records import Artifact, Component, Coverage, TensorSpec
from edgepack.runtime import graphs

# Endings that compression gives to what it stores in a weight's place; the rest of the name is the weight's.
_STORED = ("_q8", "_q4", "_scale", "_smooth", "_t", "_quantized", "_zero_point", "_of_two")


def describe(path: Path, coverage: Coverage, original: Path) -> Artifact:
    """Return the Artifact of the model at ``path``; its bits are counted by the parameters of ``original``.

    Raises ConversionError when inputs or outputs are not the original's, or a weight is not finite.
    """
    before = onnx.load(original, load_external_data=False)
    owners = _owners(before)
    parameters = _parameters(before, owners)
    del before.graph.initializer[:]  # before the other is in memory
    model = onnx.load(path, load_external_data=False)
    _check_interface(before, model)
    owners |= _owners(model)
    stored: dict[str, int] = defaultdict(int)
    for tensor in model.graph.initializer:
        _check_finite(tensor, path.parent)
        stored[_owner(tensor.name, owners)] += tensor.ByteSize() + _beside(tensor)
    return Artifact(
        path=path,
        format="onnx",
        opset=next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")),
        inputs=tuple(map(_spec, model.graph.input)),
        outputs=tuple(map(_spec, model.graph.output)),
        components=tuple(
            Component(name=name, parameters=parameters.get(name, 0), bytes=stored[name]) for name in sorted(stored)
        ),
        coverage=coverage,
        bytes=sum(file.stat().st_size for file in graphs.files(path)),
        operators=dict(sorted(Counter(node.op_type for node in model.graph.node).items())),
    )


def _owners(model: onnx.ModelProto) -> dict[str, str]:
    """Weight -> component: by its own name where that tells, else by the node that reads it."""
    found: dict[str, str] = {}
    for node in model.graph.node:
        for name in node.input:
            own = component(name)
            if own == "other":
                own = "conv" if node.op_type == "Conv" else component(node.output[0])
            found.setdefault(name, own)
    return found


def _owner(name: str, owners: dict[str, str]) -> str:
    return owners.get(name) or owners.get(_stem(name), "other")


def _stem(name: str) -> str:
    for ending in _STORED:
        name = name.removesuffix(ending)
    return name


def _parameters(model: onnx.ModelProto, owners: dict[str, str]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            counts[_owner(tensor.name, owners)] += int(np.prod(tensor.dims))
    return counts


def _check_interface(before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    for kind in ("input", "output"):
        was = [_spec(value) for value in getattr(before.graph, kind)]
        now = [_spec(value) for value in getattr(after.graph, kind)]
        if [(v.name, v.dtype) for v in was] != [(v.name, v.dtype) for v in now]:
            raise ConversionError(f"compression changed the model's {kind}s from {was} to {now}")


def _beside(tensor: onnx.TensorProto) -> int:
    """Return the bytes of a tensor that lie in a file beside the model."""
    return sum(int(entry.value) for entry in tensor.external_data if entry.key == "length")


def _check_finite(tensor: onnx.TensorProto, folder: Path) -> None:
    floats = tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    if floats and not np.isfinite(onnx.numpy_helper.to_array(tensor, str(folder))).all():
        raise ConversionError(f"the weight {tensor.name} is not finite after compression")


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    kind = value.type.tensor_type
    shape = tuple(side.dim_param or side.dim_value for side in kind.shape.dim)
    dtype = str(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
    return TensorSpec(name=value.name, dtype=dtype, shape=shape)
