"""Build an ONNX graph, a node at a time."""

from __future__ import annotations

from collections import Counter

import onnx_ir as ir

from edgepack.arrays import Array
from edgepack.documents import Json
from edgepack.formats.onnx._graph import CONTRIB


class Builder:
    """Nodes and initializers in the order they are made; values are named after what they hold."""

    def __init__(self) -> None:
        self.nodes: list[ir.Node] = []
        self.inputs: list[ir.Value] = []
        self.outputs: list[ir.Value] = []
        self._initializers: dict[str, ir.Value] = {}

    @property
    def operators(self) -> dict[str, int]:
        """Count of each operator."""
        return dict(sorted(Counter(node.op_type for node in self.nodes).items()))

    def input(self, name: str, dtype: ir.DataType, shape: tuple[int | str, ...]) -> ir.Value:
        """Return an input of the graph."""
        value = _typed(name, dtype, shape)
        self.inputs.append(value)
        return value

    def output(self, value: ir.Value, name: str, dtype: ir.DataType, shape: tuple[int | str, ...]) -> None:
        """Make ``value`` an output called ``name``."""
        value.name, value.type, value.shape = name, ir.TensorType(dtype), ir.Shape(shape)
        self.outputs.append(value)

    def constant(self, name: str, array: Array) -> ir.Value:
        """Return a small constant, inside the file."""
        return self.stored(ir.Tensor(array, name=name))

    def stored(self, tensor: ir.TensorProtocol) -> ir.Value:
        """Return a constant; the same name is the same constant."""
        if tensor.name in self._initializers:
            return self._initializers[tensor.name]
        value = ir.Value(
            name=tensor.name, shape=ir.Shape(tensor.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        self._initializers[str(tensor.name)] = value
        return value

    def op(self, kind: str, *inputs: ir.Value | None, name: str, domain: str = "", **attributes: Json) -> ir.Value:
        """Return the only output of a new node."""
        return self.ops(kind, *inputs, names=(name,), domain=domain, **attributes)[0]

    def ops(
        self, kind: str, *inputs: ir.Value | None, names: tuple[str, ...], domain: str = "", **attributes: Json
    ) -> tuple[ir.Value, ...]:
        """Return the outputs ``names`` of a new node; an empty name is an output that nobody reads."""
        outputs = [ir.Value(name=name) for name in names]
        node = ir.node(kind, inputs, attributes, domain=domain, outputs=outputs, name=f"{kind}:{names[0]}")
        self.nodes.append(node)
        return tuple(outputs)

    def model(self, name: str, *, opset: int, ir_version: int, producer: str) -> ir.Model:
        """Return the finished model."""
        graph = ir.Graph(
            self.inputs,
            self.outputs,
            nodes=self.nodes,
            initializers=list(self._initializers.values()),
            opset_imports={"": opset, CONTRIB: 1},
            name=name,
        )
        return ir.Model(graph, ir_version=ir_version, producer_name="edgepack", producer_version=producer)


def _typed(name: str, dtype: ir.DataType, shape: tuple[int | str, ...]) -> ir.Value:
    return ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))
