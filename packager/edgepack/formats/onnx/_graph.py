"""An ONNX graph that is being rewritten: its nodes in order, and its weights by name as numpy arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edgepack.arrays import Array
from edgepack.documents import Json, JsonDict

_LARGE, _PAGE = 1 << 16, 4096  # bytes; runtimes map a large tensor where it begins with a page
CONTRIB = "com.microsoft"  # the operators that ONNX Runtime adds on every platform


def _inline(name: str, value: Array) -> TensorProto:
    return numpy_helper.from_array(np.asarray(value), name)


def _beside(stream: BinaryIO, name: str, value: Array) -> TensorProto:
    """Append a large value to ``stream``, and return the tensor that points to it."""
    if value.nbytes < _LARGE:
        return _inline(name, value)
    stream.write(b"\0" * (-stream.tell() % _PAGE))
    pointer = TensorProto(
        name=name,
        dims=value.shape,
        data_type=helper.np_dtype_to_tensor_dtype(value.dtype),
        data_location=TensorProto.EXTERNAL,
    )
    for key, entry in (("location", Path(stream.name).name), ("offset", stream.tell()), ("length", value.nbytes)):
        pointer.external_data.add(key=key, value=str(entry))
    stream.write(np.ascontiguousarray(value).data)
    return pointer


class Graph:
    """The nodes and weights of a model.

    ``take(name)`` hands a weight out and forgets it, so that a large one can be freed before the next is made.
    """

    def __init__(self, path: Path) -> None:
        self.model = onnx.load(path, load_external_data=False)
        self._folder = path.parent
        self._stored: dict[str, TensorProto] = {t.name: t for t in self.model.graph.initializer}
        del self.model.graph.initializer[:]
        self._added: dict[str, Array] = {}
        self.nodes: list[NodeProto] = list(self.model.graph.node)
        del self.model.graph.node[:]

    @property
    def outputs(self) -> list[str]:
        """The names of the graph's outputs."""
        return [output.name for output in self.model.graph.output]

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators."""
        return next(entry.version for entry in self.model.opset_import if entry.domain in ("", "ai.onnx"))

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of a weight; None where ``name`` is not one."""
        if name in self._added:
            return self._added[name].shape
        return tuple(self._stored[name].dims) if name in self._stored else None

    def is_float(self, name: str) -> bool:
        """Return whether ``name`` is a float32 weight."""
        if name in self._added:
            return self._added[name].dtype == np.float32
        return name in self._stored and self._stored[name].data_type == TensorProto.FLOAT

    def weight(self, name: str) -> Array:
        """Return a weight's value. Raises KeyError."""
        return np.asarray(self._added[name], order="C") if name in self._added else self._read(self._stored[name])

    def _read(self, tensor: TensorProto) -> Array:
        """Return a stored value; one that lies in a file is mapped, so that only what is looked at takes memory."""
        if tensor.data_location != TensorProto.EXTERNAL:
            return numpy_helper.to_array(tensor)
        place = {entry.key: entry.value for entry in tensor.external_data}
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        file, offset = self._folder / place["location"], int(place.get("offset", 0))
        return np.memmap(file, dtype, "r", offset, tuple(tensor.dims))

    def take(self, name: str) -> Array:
        """Return a weight's value, no longer held by the graph unless another node uses it. Raises KeyError."""
        value = self.weight(name)
        if sum(name in node.input for node in self.nodes) <= 1:
            self._added.pop(name, None)
            self._stored.pop(name, None)
        return value

    def add(self, name: str, value: Array) -> str:
        """Hold a new weight; its name, for a node's inputs."""
        self._added[name] = value
        return name

    def constants(self) -> None:
        """Turn Constant nodes into weights, so that there is one way to look a value up."""
        kept = []
        for node in self.nodes:
            values = [a.t for a in node.attribute if a.name == "value"] if node.op_type == "Constant" else []
            if values:
                self._added[node.output[0]] = numpy_helper.to_array(values[0])
            else:
                kept.append(node)
        self.nodes = kept

    def resolve(self) -> None:
        """Let nodes read a weight by its own name where the exporter gave it another, by Identity."""
        same = {node.output[0]: node.input[0] for node in self.nodes if node.op_type == "Identity"}
        same = {other: name for other, name in same.items() if self.shape(name) is not None}
        self.nodes = [node for node in self.nodes if node.output[0] not in same or node.output[0] in self.outputs]
        for node in self.nodes:
            node.input[:] = [same.get(name, name) for name in node.input]

    def rewrite(self, old: NodeProto, new: list[NodeProto]) -> None:
        """Put ``new`` where ``old`` is."""
        place = next(i for i, node in enumerate(self.nodes) if node is old)
        self.nodes[place : place + 1] = new

    def insert(self, name: str, new: list[NodeProto]) -> None:
        """Put ``new`` where the value ``name`` is there: behind the node that makes it, or first of all."""
        place = next((i for i, node in enumerate(self.nodes, 1) if name in node.output), 0)
        self.nodes[place:place] = new

    def proto(self, tensor: Callable[[str, Array], TensorProto] = _inline) -> onnx.ModelProto:
        """Return the model, with the weights that are still used, in the order of their names; the graph keeps none.

        ``tensor`` makes what is in the model of a weight.
        """
        used = {name for node in self.nodes for name in node.input} | set(self.outputs)
        graph = self.model.graph
        del graph.node[:], graph.initializer[:]
        graph.node.extend(self.nodes)
        for name in sorted(used & (self._stored.keys() | self._added.keys())):
            graph.initializer.append(tensor(name, self.weight(name)))
            self._added.pop(name, None)
            self._stored.pop(name, None)
        del graph.value_info[:]  # types that may no longer hold
        if not any(entry.domain == CONTRIB for entry in self.model.opset_import):
            self.model.opset_import.append(helper.make_opsetid(CONTRIB, 1))
        return self.model

    def save(self, path: Path, data: Path | None = None) -> None:
        """Write the model, with its large weights in the file ``data`` beside it if there is to be one.

        Such a model may be larger than 2 GB, and its weights are mapped rather than read and copied.
        """
        if data is None:
            onnx.save(self.proto(), path)
            return
        with data.open("wb") as stream:
            proto = self.proto(partial(_beside, stream))
        path.write_bytes(proto.SerializeToString(deterministic=True))


def attributes(node: NodeProto) -> JsonDict:
    """Return a node's attributes by name."""
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def contrib(kind: str, inputs: list[str], outputs: list[str], **values: Json) -> NodeProto:
    """Return a node of one of ONNX Runtime's own operators."""
    return helper.make_node(kind, inputs, outputs, name=outputs[0], domain=CONTRIB, **values)


def users(nodes: list[NodeProto], name: str) -> Iterator[NodeProto]:
    """Return the nodes that read ``name``."""
    return (node for node in nodes if name in node.input)
