"""Attention nodes of a traced graph, joined with what stands around them.

Each gets what stands before its reshapes; a MultiHeadAttention whose query, key and value are projections of one input
becomes an Attention.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from edgepack.arrays import Array
from edgepack.formats.onnx._graph import attributes, contrib
from edgepack.formats.onnx.export import aside
from edgepack.formats.onnx.export.attention import HEADS_FIRST


def join(model: ModelProto, tables: dict[str, Array]) -> None:
    """Let each MultiHeadAttention of ``model`` read its projections and write its result without reshapes.

    Where all three are products of the same input with constants, the node becomes an Attention that holds them. The
    shapes are taken on trust: the graph is compared with the module afterwards. ``tables`` are weights that the graph
    points to; those that are joined of them are added.
    """
    graph = _Walk(model, tables)
    for node in [node for node in model.graph.node if node.op_type == "MultiHeadAttention"]:
        graph.share_mask(node)
        parts = [graph.unshaped(name) for name in node.input[:3]]
        if all(parts):
            node.input[:3] = parts
            graph.pack(node)
        graph.unshape_result(node)
    graph.prune()


class _Walk:
    """A graph's makers and readers, kept right while nodes change."""

    def __init__(self, model: ModelProto, tables: dict[str, Array]) -> None:
        self.graph, self._tables = model.graph, tables
        self.makers = {name: node for node in model.graph.node for name in node.output}
        self.weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self._packed: dict[tuple[str, ...], list[str]] = {}
        self._masks: dict[str, str] = {}
        self._resolve_copies()

    def _resolve_copies(self) -> None:
        """Read a weight itself in the place of its copies, which the exporter makes of equal ones."""
        copies = {node.output[0]: node.input[0] for node in self.graph.node if node.op_type == "Identity"}
        copies = {copy: name for copy, name in copies.items() if name in self.weights}
        for node in self.graph.node:
            node.input[:] = [copies.get(name, name) for name in node.input]

    def readers(self, name: str) -> list[NodeProto]:
        """Return the nodes that read ``name``."""
        return [node for node in self.graph.node if name in node.input]

    def unshaped(self, name: str) -> str:
        """Return what was split into heads and joined again on the way to ``name``; "" where something else was
        done.
        """
        reshapes, turned = 0, False
        while reshapes < 2:
            node = self.makers.get(name)
            if node is None or node.op_type not in ("Reshape", "Transpose"):
                return ""
            if node.op_type == "Reshape":
                reshapes += 1
            elif attributes(node)["perm"] == HEADS_FIRST:
                turned = not turned
            name = node.input[0]
        return "" if turned else name

    def share_mask(self, node: NodeProto) -> None:
        """Read the padding from the one node that makes it of its source, whichever layer it belongs to."""
        if len(node.input) > 4 and node.input[4]:
            source = self.makers[node.input[4]].input[0]
            node.input[4] = self._masks.setdefault(source, node.input[4])

    def unshape_result(self, node: NodeProto) -> None:
        """Drop the split into heads after ``node`` where joining them is all that follows."""
        split = self.readers(node.output[0])
        joined = self.readers(split[0].output[0]) if len(split) == 1 and split[0].op_type == "Reshape" else []
        if len(joined) == 1 and joined[0].op_type == "Reshape":
            old = joined[0].output[0]
            for reader in self.readers(old):
                reader.input[:] = [node.output[0] if name == old else name for name in reader.input]

    def pack(self, node: NodeProto) -> None:
        """Rewrite MultiHeadAttention of three products of one input as Attention, with their weights beside each
        other.
        """
        found = [self._product(name) for name in node.input[:3]]
        if not all(found) or any(node.input[5:]):
            return
        sources, weights, biases = zip(*[part for part in found if part], strict=True)
        shapes = {tuple(weight.dims) for weight in weights}
        if len(set(sources)) > 1 or len(shapes) > 1:
            return
        keep = {key: value for key, value in attributes(node).items() if key in ("num_heads", "scale")}
        inputs = [sources[0], *self._joined(weights, biases, node.output[0]), *node.input[4:5]]
        node.CopyFrom(contrib("Attention", inputs, [node.output[0]], **keep))

    def _joined(
        self, weights: tuple[TensorProto, ...], biases: tuple[TensorProto | None, ...], output: str
    ) -> list[str]:
        """Return the names of the weights and of the biases beside each other; layers that share theirs share these."""
        key = tuple(tensor.name if tensor else "" for tensor in (*weights, *biases))
        if key not in self._packed:
            stem = output.rsplit("/", 1)[0].strip("/").replace("/", ".") or output
            none = np.zeros(weights[0].dims[1], np.float32)
            parts = {
                f"{stem}.qkv.weight": np.concatenate([self._value(tensor) for tensor in weights], axis=1),
                f"{stem}.qkv.bias": np.concatenate([self._value(b) if b else none for b in biases]),
            }
            for name, value in parts.items():
                if weights[0].name in self._tables and aside.is_large(value):
                    self._tables[name] = value
                    self.graph.initializer.append(aside.point(name, value, aside.WEIGHTS))
                else:
                    self.graph.initializer.append(numpy_helper.from_array(value, name))
            self._packed[key] = list(parts)
        return self._packed[key]

    def _value(self, tensor: TensorProto) -> Array:
        return self._tables[tensor.name] if tensor.name in self._tables else numpy_helper.to_array(tensor)

    def _product(self, name: str) -> tuple[str, TensorProto, TensorProto | None] | None:
        """Return the input, weight [in, out] and bias of the linear layer that makes ``name``."""
        node, bias = self.makers.get(name), None
        if node is not None and node.op_type == "Add":
            constant = [entry for entry in node.input if entry in self.weights]
            other = [entry for entry in node.input if entry not in self.weights]
            if len(constant) != 1:
                return None
            bias, node = self.weights[constant[0]], self.makers.get(other[0])
        if node is None or node.op_type != "MatMul" or node.input[1] not in self.weights:
            return None
        weight = self.weights[node.input[1]]
        elsewhere = weight.data_location == TensorProto.EXTERNAL and weight.name not in self._tables
        if len(weight.dims) != 2 or elsewhere:  # what fuse() moved is no square
            return None
        return node.input[0], weight, bias

    def prune(self) -> None:
        """Drop the nodes and weights that nothing reads any more."""
        needed = {output.name for output in self.graph.output}
        kept = []
        for node in reversed(self.graph.node):
            if needed & set(node.output):
                kept.append(node)
                needed |= set(node.input)
        del self.graph.node[:]
        self.graph.node.extend(reversed(kept))
        weights = [tensor for tensor in self.graph.initializer if tensor.name in needed]
        del self.graph.initializer[:]
        self.graph.initializer.extend(weights)
