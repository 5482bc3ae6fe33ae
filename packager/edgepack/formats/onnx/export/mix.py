"""Mix an image's channels at the beginning of a graph, for clients that cannot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import helper

from edgepack.formats.onnx._graph import Graph

_NAME = "channels_mixed"


def put_before(path: Path, weights: Sequence[Sequence[float]]) -> None:
    """Let the model at ``path`` take the channels that ``weights`` [its own, those fed] makes its own of."""
    graph = Graph(path)
    image = graph.model.graph.input[0]
    for node in graph.nodes:
        node.input[:] = [_NAME if name == image.name else name for name in node.input]
    image.type.tensor_type.shape.dim[1].dim_value = len(weights[0])
    kernel = graph.add(f"{_NAME}_weights", np.array(weights, np.float32)[:, :, None, None])
    graph.nodes.insert(0, helper.make_node("Conv", [image.name, kernel], [_NAME], name=_NAME))
    graph.save(path)
