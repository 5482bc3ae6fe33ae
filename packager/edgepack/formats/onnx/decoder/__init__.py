"""Language models: from safetensors to a quantized ONNX graph, written a tensor at a time.

PyTorch and transformers have no part in it; the memory that it takes is a few pieces of one weight.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from edgepack.decoders.checkpoint import Checkpoint
from edgepack.formats.onnx.decoder.builder import Array, Builder
from edgepack.formats.onnx.decoder.emit import Emitter
from edgepack.formats.onnx.decoder.store import Store
from edgepack.formats.onnx.decoder.weights import Weights
from edgepack.records import Artifact, Recipe, TensorSpec


def write(
    checkpoint: Checkpoint,
    out: Path,
    recipe: Recipe,
    *,
    context: int,
    importance: Mapping[str, Array],
    opset: int,
    ir_version: int,
) -> Artifact:
    """The model of ``checkpoint`` at ``out``, its weights beside it in ``<out>.data``."""
    builder = Builder()
    with Store(out.with_name(f"{out.name}.data")) as store:
        weights = Weights(builder, store, recipe, importance)
        Emitter(builder, checkpoint, weights, context).emit()
    version = importlib.metadata.version("edgepack")
    model = builder.model(checkpoint.decoder.model_type, opset=opset, ir_version=ir_version, producer=version)
    out.write_bytes(ir.serde.serialize_model(model).SerializeToString(deterministic=True))
    return Artifact(
        path=out,
        format="onnx",
        opset=opset,
        inputs=tuple(_spec(value) for value in builder.inputs),
        outputs=tuple(_spec(value) for value in builder.outputs),
        components=weights.components,
        coverage=weights.coverage,
        operators=builder.operators,
        bytes=sum(file.stat().st_size for file in out.parent.glob(f"{out.name}*")),
    )


def _spec(value: ir.Value) -> TensorSpec:
    assert value.shape is not None and value.dtype is not None
    shape = tuple(int(side) if isinstance(side, int) else str(side.value) for side in value.shape)
    return TensorSpec(name=str(value.name), dtype=value.dtype.numpy().name, shape=shape)
