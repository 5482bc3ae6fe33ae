"""Attention as one operator: transformers' models are traced with an attention function of our own.

transformers lets an attention implementation be registered under a name, with the function that makes its masks. Ours
becomes a MultiHeadAttention node (an operator that ONNX Runtime adds) in the exported graph, and takes the
two-dimensional mask of padding as it is fed, so that no mask code is traced. ``join`` then gives each node what stands
before its reshapes, and makes an Attention node of those whose query, key and value are projections of one input.
Models that do not ask the registry for their attention are traced as they are written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, cast

import numpy as np
import torch
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper
from torch import Tensor, nn
from torch._C import Value
from torch.autograd.function import FunctionCtx
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import bidirectional_mask_function, eager_mask

from edgepack.formats.onnx._graph import CONTRIB, attributes, contrib

NAME = "edgepack"
_HEADS_FIRST = [0, 2, 1, 3]  # [batch, tokens, heads, head_dim] <-> [batch, heads, tokens, head_dim]


class _Graph(Protocol):
    """PyTorch's graph that is being written, as symbolic functions see it."""

    def op(self, kind: str, *inputs: Value, **attributes: object) -> Value:
        """Add a node, and return its output."""


class _MultiHeadAttention(torch.autograd.Function):
    """softmax(q k^T scale + bias) v of [batch, heads, tokens, head_dim], as [batch, tokens, heads, head_dim]."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        padding: Tensor | None,
        bias: Tensor | None,
        scale: float,
        heads: int,
    ) -> Tensor:
        scores = query @ key.transpose(2, 3) * scale
        if padding is not None:
            scores = scores.masked_fill(~padding[:, None, None, :], torch.finfo(scores.dtype).min)
        if bias is not None:
            scores = scores + bias
        return (scores.softmax(-1) @ value).transpose(1, 2).contiguous()

    @staticmethod
    def symbolic(
        g: _Graph,
        query: Value,
        key: Value,
        value: Value,
        padding: Value | None,
        bias: Value | None,
        scale: float,
        heads: int,
    ) -> Value:
        def joined(part: Value) -> Value:
            by_token = g.op("Transpose", part, perm_i=_HEADS_FIRST)
            return g.op("Reshape", by_token, g.op("Constant", value_t=torch.tensor([0, 0, -1])))

        absent = g.op("prim::Constant")
        absent.setType(torch.NoneType.get())
        mask = absent if padding is None else g.op("Cast", padding, to_i=TensorProto.INT32)
        inputs = [joined(query), joined(key), joined(value), absent, mask]
        if bias is not None:
            inputs.append(bias)
        mixed = g.op(f"{CONTRIB}::MultiHeadAttention", *inputs, num_heads_i=heads, scale_f=scale)
        return g.op("Reshape", mixed, g.op("Constant", value_t=torch.tensor([0, 0, heads, -1])))


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **ignored: object,
) -> tuple[Tensor, None]:
    """Return an attention function as transformers calls it.

    Raises NotImplementedError for what the operator cannot do.
    """
    if softcap is not None or s_aux is not None:
        raise NotImplementedError("MultiHeadAttention has no cap and no sinks")
    groups = query.shape[1] // key.shape[1]  # grouped queries share keys and values
    key, value = (part.repeat_interleave(groups, dim=1) if groups > 1 else part for part in (key, value))
    scale = float(query.shape[-1]) ** -0.5 if scaling is None else float(scaling)
    padding = attention_mask if attention_mask is not None and attention_mask.dim() == 2 else None
    bias = None if padding is not None else attention_mask
    return _MultiHeadAttention.apply(query, key, value, padding, bias, scale, int(query.shape[1])), None


@contextmanager
def of_pytorch() -> Iterator[None]:
    """Let torch.nn.functional.scaled_dot_product_attention be the operator, for models that call it themselves."""
    before = nn.functional.scaled_dot_product_attention

    def attend(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        if is_causal or enable_gqa or dropout_p or attn_mask is not None:
            return before(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
        width = float(query.shape[-1]) ** -0.5 if scale is None else float(scale)
        mixed: Tensor = _MultiHeadAttention.apply(query, key, value, None, None, width, int(query.shape[1]))
        return mixed.transpose(1, 2)

    nn.functional.scaled_dot_product_attention = attend
    try:
        yield
    finally:
        nn.functional.scaled_dot_product_attention = before


def _mask(*args: object, **facts: object) -> Tensor | None:
    """Return a mask as _attend takes it: the padding alone, bool [batch, tokens], else float [batch, 1, tokens,
    tokens].
    """
    if facts["mask_function"] is bidirectional_mask_function:
        return cast(Tensor | None, facts["attention_mask"])
    return eager_mask(*args, **{**facts, "allow_is_causal_skip": False, "allow_is_bidirectional_skip": False})


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, _mask)


def join(model: ModelProto) -> None:
    """Let each MultiHeadAttention of ``model`` read its projections and write its result without reshapes.

    Where all three are products of the same input with constants, the node becomes an Attention that holds them. The
    shapes are taken on trust: the graph is compared with the module afterwards.
    """
    graph = _Walk(model)
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

    def __init__(self, model: ModelProto) -> None:
        self.graph = model.graph
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
            elif attributes(node)["perm"] == _HEADS_FIRST:
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
                f"{stem}.qkv.weight": np.concatenate([numpy_helper.to_array(tensor) for tensor in weights], axis=1),
                f"{stem}.qkv.bias": np.concatenate([numpy_helper.to_array(b) if b else none for b in biases]),
            }
            self.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in parts.items())
            self._packed[key] = list(parts)
        return self._packed[key]

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
        if len(weight.dims) != 2 or weight.data_location == TensorProto.EXTERNAL:  # what lies aside is no square
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
