"""Attention that a model's code writes out itself (MobileViT, MPNet): softmax(q k^T / c + bias) v as one operator.

Each is put into the form that attention.py's own function is traced to, a MultiHeadAttention between reshapes. What is
made of attention_mask alone is taken for the mask of padding; the graph is compared with the module afterwards.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgepack.formats.onnx._graph import attributes, contrib

_MASK = "attention_mask"
_HEADS_FIRST, _KEYS_LAST = [0, 2, 1, 3], [0, 2, 3, 1]  # perm of [batch, tokens, heads, head_dim] for q and v, for k


def gather(model: ModelProto) -> None:
    """Put a MultiHeadAttention in the place of each that is written out and that the operator can do."""
    graph = _Graph(model)
    nodes = [new for node in model.graph.node for new in graph.joined(node) or [node]]
    del model.graph.node[:]
    model.graph.node.extend(nodes)  # what made the scores is left for attention_nodes.join to prune


class _Graph:
    def __init__(self, model: ModelProto) -> None:
        self.makers = {name: node for node in model.graph.node for name in node.output}
        self.widths = {tensor.name: tensor.dims[-1] for tensor in model.graph.initializer if tensor.dims}
        copies = [node for node in model.graph.node if node.op_type == "Identity" and node.input[0] in self.widths]
        self.widths |= {node.output[0]: self.widths[node.input[0]] for node in copies}

    def joined(self, node: NodeProto) -> list[NodeProto]:
        """Return the nodes that stand for the attention whose result ``node`` turns to [batch, tokens, heads,
        head_dim].
        """
        mixed = self._made(self._turned(node, _HEADS_FIRST), "MatMul")
        softmax = self._made(mixed.input[0], "Softmax") if mixed else None
        if mixed is None or softmax is None or attributes(softmax).get("axis", -1) not in (-1, 3):
            return []
        name, added = softmax.input[0], []
        while (total := self._made(name, "Add")) is not None:
            name, other = sorted(total.input, key=self._is_score, reverse=True)
            added.append(other)
        name, scale = self._unscaled(name)
        product = self._made(name, "MatMul")
        padding = [other for other in added if self._sources(other) == {_MASK}]
        biases = [other for other in added if other not in padding]
        if product is None or scale is None or len(padding) > 1 or len(biases) > 1:
            return []
        places = ((product.input[0], _HEADS_FIRST), (product.input[1], _KEYS_LAST), (mixed.input[1], _HEADS_FIRST))
        parts = [self._turned(self.makers.get(part), perm) for part, perm in places]
        heads = self._heads(parts[0])
        if not all(parts) or not heads:
            return []
        stem = node.output[0]
        names = [f"{stem}_{part}" for part in ("query", "key", "value")]
        made = [new for part, to in zip(parts, names, strict=True) for new in _reshape(part, [0, 0, -1], to)]
        bias = self._made(biases[0], "Expand") if biases else None  # repeated for each row of the batch
        inputs = [*names, "", f"{stem}_padding" if padding else "", bias.input[0] if bias else "".join(biases)]
        if padding:
            made.append(helper.make_node("Cast", [_MASK], [inputs[4]], name=inputs[4], to=TensorProto.INT32))
        made.append(contrib("MultiHeadAttention", inputs, [f"{stem}_mixed"], num_heads=heads, scale=scale))
        return [*made, *_reshape(f"{stem}_mixed", [0, 0, heads, -1], stem)]

    def _made(self, name: str, kind: str) -> NodeProto | None:
        node = self.makers.get(name)
        return node if node is not None and node.op_type == kind else None

    def _turned(self, node: NodeProto | None, perm: list[int]) -> str:
        """Return what ``node`` transposes by ``perm``; "" where it does something else."""
        turns = node is not None and node.op_type == "Transpose" and attributes(node).get("perm") == perm
        return node.input[0] if node is not None and turns else ""

    def _is_score(self, name: str) -> bool:
        total = self._made(name, "Add")
        if total is not None:
            return any(map(self._is_score, total.input))
        return self._made(self._unscaled(name)[0], "MatMul") is not None

    def _unscaled(self, name: str) -> tuple[str, float | None]:
        """Return what is scaled by a constant, and the factor; itself and 1 where nothing is."""
        node = self.makers.get(name)
        if node is None or node.op_type not in ("Div", "Mul"):
            return name, 1.0
        value = self._constant(node.input[1])
        if not value:
            return name, None
        return node.input[0], 1 / value if node.op_type == "Div" else value

    def _constant(self, name: str) -> float | None:
        """Return the one number of a constant."""
        node = self._made(name, "Constant")
        value = numpy_helper.to_array(attributes(node)["value"]) if node else np.zeros(0)
        return float(value.item()) if value.size == 1 else None

    def _heads(self, name: str) -> int:
        """Return how many heads a projection is split into to become ``name``; 0 where that is not what was done."""
        split = self._made(name, "Reshape")
        shape = self._made(split.input[1], "Concat") if split else None
        projected = self.makers.get(split.input[0]) if split else None
        width = self._constant(shape.input[-1]) if shape else None
        total = next((self.widths[entry] for entry in projected.input if entry in self.widths), 0) if projected else 0
        return total // int(width) if width is not None and width > 0 else 0

    def _sources(self, name: str) -> set[str]:
        """Return the graph's inputs whose values, not only their shapes, ``name`` is made of."""
        seen, found, ahead = {"", *self.widths}, set(), [name]
        while ahead:
            name = ahead.pop()
            node = self.makers.get(name)
            if node is None and name not in seen:
                found.add(name)
            elif node is not None and name not in seen and node.op_type != "Shape":
                ahead += node.input
            seen.add(name)
        return found


def _reshape(source: str, shape: list[int], name: str) -> list[NodeProto]:
    tensor = numpy_helper.from_array(np.array(shape, np.int64), f"{name}_shape")
    constant = helper.make_node("Constant", [], [tensor.name], value=tensor)
    return [constant, helper.make_node("Reshape", [source, tensor.name], [name], name=name)]
