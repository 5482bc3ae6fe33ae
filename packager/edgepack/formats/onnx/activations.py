"""What flows through a graph on calibration inputs: the rows that enter each linear layer."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from edgepack.formats.onnx.graph import Array

ROWS = 512  # of each activation that are kept: enough for extremes and least squares, small beside the model


def collect(
    model: Path,
    names: Iterable[str],
    outputs: Iterable[str],
    feeds: Sequence[Mapping[str, Array]],
    scratch: Path,
) -> dict[str, Array]:
    """float32 [rows, k] per name: what the activation holds for the tokens that are no padding.

    ``outputs`` are the graph's own. Rows are spread evenly over ``feeds``. A copy of the model that gives ``names`` as
    well is written to ``scratch``: protobuf joins the parts of a message, so they are appended and no weight is parsed.
    """
    wanted = sorted(set(names))
    known = set(outputs)
    extra = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in wanted
        if name not in known
    ]
    shutil.copyfile(model, scratch)
    with scratch.open("ab") as file:
        file.write(onnx.ModelProto(graph=onnx.GraphProto(output=extra)).SerializeToString())
    session = _session(scratch)
    scratch.unlink()
    found: dict[str, list[Array]] = {name: [] for name in wanted}
    share = max(ROWS // max(len(feeds), 1), 1)
    inputs = [node.name for node in session.get_inputs()]
    for feed in feeds:
        values = session.run(wanted, {name: feed[name] for name in inputs})
        for name, value in zip(wanted, values, strict=True):
            found[name].append(_thinned(_rows(value, feed.get("attention_mask")), share))
    return {name: np.concatenate(parts) for name, parts in found.items() if parts}


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.disable_prepacking", "1")  # a second copy of every weight
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _rows(value: Array, mask: Array | None) -> Array:
    """[…, k] as [rows, k]; padding is left out where the value has one row per token."""
    if mask is not None and value.shape[:2] == mask.shape:
        return np.asarray(value[mask.astype(bool)])
    return value.reshape(-1, value.shape[-1])


def _thinned(rows: Array, count: int) -> Array:
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
