"""Activations of a graph on calibration inputs: the rows that enter each linear layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from edgepack.arrays import Array

ROWS = 512  # of each activation that are kept: enough for extremes and least squares, small beside the model


def collect(model: Path, names: Iterable[str], feeds: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Return float32 [rows, k] per name: what the activation holds for the tokens that are no padding.

    Rows are spread evenly over ``feeds``.
    """
    wanted = sorted(set(names))
    session = _session(model, wanted)
    found: dict[str, list[Array]] = {name: [] for name in wanted}
    share = max(ROWS // max(len(feeds), 1), 1)
    inputs = [node.name for node in session.get_inputs()]
    values: Sequence[Array] = ()
    for feed in feeds:
        values = session.run(wanted, {name: feed[name] for name in inputs})
        for name, value in zip(wanted, values, strict=True):
            found[name].append(_thinned(_rows(value, feed.get("attention_mask")), share))
    del session, values  # before the parts are there twice
    return {name: np.concatenate(found.pop(name)) for name in wanted}


def _session(path: Path, names: list[str]) -> onnxruntime.InferenceSession:
    """Return the model with the activations ``names`` among its outputs; its weights are mapped from their file."""
    model = onnx.load(path, load_external_data=False)
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names if name not in known
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.disable_prepacking", "1")  # a second copy of every weight
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _rows(value: Array, mask: Array | None) -> Array:
    """Return […, k] as [rows, k]; padding is left out where the value has one row per token."""
    if mask is not None and value.ndim == 3 and value.shape[:2] == mask.shape:
        return np.asarray(value[mask.astype(bool)])
    return value.reshape(-1, value.shape[-1])


def _thinned(rows: Array, count: int) -> Array:
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
