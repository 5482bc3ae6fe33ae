"""Weights that a trace leaves out: the graph is written without them, whatever their size, and points to them after.

A message of protobuf holds 2 GB, and the exporter and the fusions copy what a graph holds several times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import nn

from edgepack.arrays import Array
from edgepack.documents import JsonObject
from edgepack.formats.onnx._graph import attributes

LEAST = 16_384  # bytes; smaller tensors can be constants that a fusion reads
_STEP = 2.0**-24
WEIGHTS = "weights"  # the file that pointers name until the graph is written with its weights beside it


def point(name: str, value: Array, location: str, offset: int = 0) -> TensorProto:
    """Return a tensor whose values lie in the file ``location``."""
    pointer = TensorProto(
        name=name,
        dims=value.shape,
        data_type=helper.np_dtype_to_tensor_dtype(value.dtype),
        data_location=TensorProto.EXTERNAL,
    )
    for key, entry in (("location", location), ("offset", offset), ("length", value.nbytes)):
        pointer.external_data.add(key=key, value=str(entry))
    return pointer


def is_large(value: Array) -> bool:
    """Return whether a weight is to lie aside; a vector, which a fusion may read as a constant, is not."""
    return value.ndim > 1 and value.nbytes >= LEAST


@contextmanager
def numbered(module: nn.Module) -> Iterator[None]:
    """Let each large weight of ``module`` be one number, spread over its shape: a trace is not about values.

    Each has a number of its own, because the exporter makes one of weights that are equal.
    """
    large = [parameter for parameter in module.parameters() if parameter.nbytes >= LEAST]
    values = [parameter.data for parameter in large]
    try:
        for index, parameter in enumerate(large, 1):
            parameter.data = torch.tensor(index * _STEP).expand(parameter.shape)
        yield
    finally:
        for parameter, value in zip(large, values, strict=True):
            parameter.data = value


def put(module: nn.Module, path: Path) -> dict[str, Array]:
    """Let the graph at ``path``, which takes the weights of ``module`` as inputs, hold the small ones.

    Return the others by name: views of the module's memory, which the graph points to and does not hold. What it makes
    of weights alone is made here.
    """
    model = onnx.load(path)
    graph, stored = model.graph, module.state_dict()
    weights = {value.name: stored[value.name].numpy() for value in graph.input if value.name in stored}
    inputs = [value for value in graph.input if value.name not in stored]
    del graph.input[:]
    graph.input.extend(inputs)
    _fold(graph, weights)
    _fold_constants(model)
    used = {name for node in graph.node for name in node.input}
    large = {}
    for name, value in weights.items():
        if name in used and is_large(value):
            large[name] = value
            graph.initializer.append(point(name, value, WEIGHTS))
        elif name in used:
            graph.initializer.append(numpy_helper.from_array(np.array(value, order="C"), name))
    onnx.save(model, path)
    return large


def _fold(graph: GraphProto, weights: dict[str, Array]) -> None:
    """Transpose weights, and give them more axes, where nothing reads them as they are: in the place of the nodes."""
    constants = {node.output[0]: attributes(node).get("value") for node in graph.node if node.op_type == "Constant"}
    readers = Counter(name for node in graph.node for name in node.input)
    names: dict[str, str] = {}
    kept = []
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        name = node.input[0] if node.input else ""
        made = _made(node, weights[name], constants) if name in weights and readers[name] == 1 else None
        if made is None:
            kept.append(node)
        else:
            weights[name], names[node.output[0]], readers[name] = made, name, readers[node.output[0]]
    del graph.node[:]
    graph.node.extend(kept)


def _fold_constants(model: ModelProto) -> None:
    """Compute what is made of constants alone, as the exporter does where it holds the weights."""
    known, folded, left = set[str](), list[NodeProto](), list[NodeProto]()
    for node in model.graph.node:
        constant = node.op_type == "Constant" or (len(node.input) > 0 and known | {""} >= set(node.input))
        (folded if constant else left).append(node)
        known.update(node.output if constant else ())
    read = {name for node in left for name in node.input} & known
    outputs = [helper.make_empty_tensor_value_info(name) for name in sorted(read)]
    constants = helper.make_graph(folded, "constants", [], outputs)
    found = ReferenceEvaluator(helper.make_model(constants, opset_imports=model.opset_import)).run(None, {})
    del model.graph.node[:]
    for name, value in zip(sorted(read), found, strict=True):
        tensor = numpy_helper.from_array(np.asarray(value), name)
        model.graph.node.append(helper.make_node("Constant", [], [name], value=tensor, name=name))
    model.graph.node.extend(left)


def _made(node: NodeProto, value: Array, constants: JsonObject) -> Array | None:
    """Return what ``node`` makes of ``value``, a view of it; None where it does something else."""
    if node.op_type == "Transpose":
        return value.transpose(attributes(node)["perm"])
    axes = constants.get(node.input[1]) if node.op_type == "Unsqueeze" else None
    return None if axes is None else np.expand_dims(value, tuple(numpy_helper.to_array(axes).tolist()))
