"""Attention."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from edgepack.coreml.ops.registry import op


@op("scaled_dot_product_attention")
def scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """Return softmax(query keyᵀ / √E + mask) value (Vaswani et al. 2017); query […, L, E], key and value […, S, E]."""
    return F.scaled_dot_product_attention(query, key, value, attn_mask)
