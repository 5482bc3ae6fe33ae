"""Export the original to ONNX through optimum-onnx, with pooling and normalisation in the graph."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from optimum.exporters.onnx import export as optimum_export
from optimum.exporters.onnx.base import OnnxConfig
from optimum.exporters.tasks import TasksManager
from torch import nn

from edgepack.errors import ConversionError, UnsupportedModel
from edgepack.runtime.types import Array

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
_ROWS = 1024  # of a table that stay while tracing
_EMBEDDINGS = {"text-embedding": "sentence_embedding", "image-embedding": "image_embedding"}


def export(module: nn.Module, task: ModuleType, out: Path, *, opset: int) -> dict[str, Array]:
    """Write ``module`` (see original/pytorch.py) to ``out`` with dynamic batch and sequence length.

    Large embedding tables are cut to a few rows in ``out`` and returned whole, by name: the exporter would copy
    them three times. fuse() puts them back.
    Raises UnsupportedModel where optimum-onnx has no recipe for the architecture.
    """
    config = _config(module, task)
    with warnings.catch_warnings(), _small_tables(module) as tables:
        # the tracer warns of every Python number in the model's code; agreement is measured afterwards
        warnings.simplefilter("ignore")
        _, outputs = optimum_export(module, config, out, opset=opset)
    module.eval()  # the exporter may leave it in training mode
    if list(outputs) != list(config.outputs):
        raise ConversionError(f"the export has the outputs {list(outputs)}, not {list(config.outputs)}")
    return tables


@contextmanager
def _small_tables(module: Any) -> Iterator[dict[str, Array]]:
    """Leave a few rows of every large embedding table; the whole ones by parameter name."""
    cut: dict[str, nn.Parameter] = {}
    vocabulary = getattr(module.config, "vocab_size", None)
    owners: dict[str, Any] = dict(module.named_modules())
    try:
        for path in _tables(owners, vocabulary):
            cut[path] = owners[path].weight
            owners[path].weight = nn.Parameter(cut[path][:_ROWS].detach().clone(), requires_grad=False)
            module.config.vocab_size = _ROWS  # the trace's own inputs are drawn below it
        yield {f"{path}.weight": weight.detach().numpy() for path, weight in cut.items()}
    finally:
        for path, weight in cut.items():
            owners[path].weight = weight
            module.config.vocab_size = vocabulary


def _tables(modules: Mapping[str, Any], rows: int | None) -> list[str]:
    """The paths of the large tables with a row per word."""
    found = [path for path, part in modules.items() if isinstance(part, nn.Embedding) and part.num_embeddings == rows]
    return found if rows is not None and rows > _ROWS else []


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
