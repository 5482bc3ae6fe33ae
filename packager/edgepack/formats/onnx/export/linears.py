"""Find the linear layers of a graph: every product of an activation with a constant matrix, in one form.

Gemm, MatMul with a transposed constant and the projection inside a fused Attention are first rewritten as MatMul,
since a quantizer that looks for MatMul alone would leave them as they are without a word.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, helper

from edgepack.formats.onnx._graph import Graph, attributes, contrib
from edgepack.quantization.components import component


@dataclass(frozen=True)
class Linear:
    """``output = input @ weight`` with a constant weight [k, n]."""

    node: NodeProto
    weight: str
    shape: tuple[int, int]
    component: str  # embedding, attention, mlp, head or other

    @property
    def input(self) -> str:
        """The activation's name."""
        return str(self.node.input[0])

    @property
    def output(self) -> str:
        """The product's name."""
        return str(self.node.output[0])


def linears(graph: Graph) -> list[Linear]:
    """Return every linear layer, in the graph's order."""
    found = []
    for node in graph.nodes:
        if node.op_type == "MatMul":
            shape = graph.shape(node.input[1])
            if shape is not None and len(shape) == 2 and graph.is_float(node.input[1]):
                found.append(Linear(node, node.input[1], (shape[0], shape[1]), component(node.output[0])))
    return found


def normalise(graph: Graph) -> None:
    """Rewrite every form of a linear layer as MatMul (and Add)."""
    split_attention(graph)
    for node in list(graph.nodes):
        if node.op_type == "Gemm":
            _split_gemm(graph, node)
        elif node.op_type == "Transpose" and graph.shape(node.input[0]) is not None:
            _fold_transpose(graph, node)


def split_attention(graph: Graph) -> None:
    """Rewrite every Attention as MatMul, Split and MultiHeadAttention, where it has a plain form."""
    graph.constants()
    for node in [node for node in graph.nodes if node.op_type == "Attention"]:
        _split_attention(graph, node)


def _split_gemm(graph: Graph, node: NodeProto) -> None:
    """Rewrite alpha A B + beta C as MatMul and Add; with a transposed A, or factors, the node stays."""
    facts = attributes(node)
    plain = not facts.get("transA") and facts.get("alpha", 1.0) == 1.0 and facts.get("beta", 1.0) == 1.0
    if not plain or not graph.is_float(node.input[1]):
        return
    weight = node.input[1]
    if facts.get("transB"):
        weight = graph.add(f"{weight}_t", graph.weight(weight).T)
    biased = len(node.input) > 2 and bool(node.input[2])
    product = f"{node.output[0]}_product" if biased else node.output[0]
    new = [helper.make_node("MatMul", [node.input[0], weight], [product], name=product)]
    if biased:
        new.append(helper.make_node("Add", [product, node.input[2]], [node.output[0]], name=node.output[0]))
    graph.rewrite(node, new)


def _fold_transpose(graph: Graph, node: NodeProto) -> None:
    """Fold a transposed constant into a constant."""
    value = graph.weight(node.input[0])
    order = attributes(node).get("perm") or tuple(reversed(range(value.ndim)))
    graph.add(node.output[0], value.transpose(order))
    graph.rewrite(node, [])


def _split_attention(graph: Graph, node: NodeProto) -> None:
    """Rewrite Attention(x, W, b, mask) as MatMul, Split and MultiHeadAttention, so that W can be compressed."""
    inputs = [*node.input, "", "", ""]
    facts = attributes(node)
    shape = graph.shape(inputs[1])
    if shape is None or any(node.input[4:]) or "qkv_hidden_sizes" in facts:
        return  # a past, a bias on the scores or unequal heads: the projection stays float, and is listed
    name, hidden = node.output[0], shape[1] // 3
    sizes = graph.add(f"split_{hidden}", np.array([hidden] * 3, np.int64))
    parts = [f"{name}_{part}" for part in "qkv"]
    keep = {key: facts[key] for key in ("mask_filter_value", "scale", "unidirectional") if key in facts}
    graph.rewrite(
        node,
        [
            helper.make_node("MatMul", [inputs[0], inputs[1]], [f"{name}_qkv"], name=f"{name}_qkv"),
            helper.make_node("Split", [f"{name}_qkv", sizes], parts, name=f"{name}_split", axis=-1),
            contrib(
                "MultiHeadAttention",
                [*parts, *_trimmed(inputs[2:4])],
                [name],
                num_heads=facts["num_heads"],
                **keep,
            ),
        ],
    )


def _trimmed(names: list[str]) -> list[str]:
    """Drop the empty names at the end, which stand for absent inputs."""
    while names and not names[-1]:
        names = names[:-1]
    return names
