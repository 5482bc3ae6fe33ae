"""Attention as one operator: transformers' models are traced with an attention function of our own.

transformers lets an attention implementation be registered under a name, with the function that makes its masks. Ours
becomes a MultiHeadAttention node (an operator that ONNX Runtime adds) in the exported graph, and takes the
two-dimensional mask of padding as it is fed, so that no mask code is traced. attention_nodes.py then joins each node
with what stands around it.
Models that do not ask the registry for their attention are traced as they are written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, cast

import torch
from onnx import TensorProto
from torch import Tensor, nn
from torch._C import Value
from torch.autograd.function import FunctionCtx
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import bidirectional_mask_function, eager_mask

from edgepack.formats.onnx._graph import CONTRIB

NAME = "edgepack"
HEADS_FIRST = [0, 2, 1, 3]  # [batch, tokens, heads, head_dim] <-> [batch, heads, tokens, head_dim]


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
            by_token = g.op("Transpose", part, perm_i=HEADS_FIRST)
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
