"""Export the original to ONNX through optimum-onnx, with pooling and normalisation in the graph."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx
from optimum.exporters.onnx import export as optimum_export
from optimum.exporters.onnx.base import OnnxConfig
from optimum.exporters.tasks import TasksManager
from torch import nn

from edgepack.errors import ConversionError, UnsupportedModel

logging.getLogger("optimum").setLevel(logging.ERROR)

# optimum's words for our tasks
_OPTIMUM_TASKS = {
    "text-embedding": "feature-extraction",
    "image-embedding": "feature-extraction",
    "text-classification": "text-classification",
    "token-classification": "token-classification",
    "question-answering": "question-answering",
    "fill-mask": "fill-mask",
    "image-classification": "image-classification",
}
_EMBEDDINGS = {"text-embedding": "sentence_embedding", "image-embedding": "image_embedding"}


def export(module: nn.Module, task: ModuleType, out: Path, *, opset: int, ir_version: int) -> None:
    """Write ``module`` (see original/pytorch.py) to ``out`` with dynamic batch and sequence length.

    Raises UnsupportedModel where optimum-onnx has no recipe for the architecture.
    """
    config = _config(module, task)
    with warnings.catch_warnings():
        # the tracer warns of every Python number in the model's code; agreement is measured afterwards
        warnings.simplefilter("ignore")
        _, outputs = optimum_export(module, config, out, opset=opset)
    module.eval()  # the exporter may leave it in training mode
    model = onnx.load(out)
    model.ir_version = ir_version
    _check_interface(model, outputs, out)
    onnx.save(model, out)


def _config(module: Any, task: ModuleType) -> OnnxConfig:
    """Optimum's description of the architecture, with our embedding among its outputs."""
    name = _OPTIMUM_TASKS[task.NAME]
    model_type = module.config.model_type
    try:
        make = TasksManager.get_exporter_config_constructor(
            "onnx", model_type=model_type, task=name, library_name="transformers"
        )
    except (KeyError, ValueError) as error:
        raise UnsupportedModel(
            f"optimum-onnx cannot export model_type {model_type!r} for {task.NAME}",
            hint="open an issue that names the model",
        ) from error
    embedding = _EMBEDDINGS.get(task.NAME)
    kind = _with_output(make.func, embedding) if embedding else make.func
    return kind(module.config, **make.keywords)


def _with_output(parent: type[OnnxConfig], embedding: str) -> type[OnnxConfig]:
    """``parent`` with one more output, [batch, hidden]."""

    def outputs(self: OnnxConfig) -> dict[str, dict[int, str]]:
        hidden = parent.outputs.fget(self)["last_hidden_state"]
        return {"last_hidden_state": hidden, embedding: {0: "batch_size"}}

    return type(parent.__name__, (parent,), {"outputs": property(outputs)})


def _check_interface(model: onnx.ModelProto, outputs: list[str], out: Path) -> None:
    made = [output.name for output in model.graph.output]
    if made != list(outputs):
        raise ConversionError(f"{out.name} has the outputs {made}, not {list(outputs)}")
