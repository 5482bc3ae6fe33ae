"""Longformer's attention in a form that a tracer can follow, for texts of any length.

transformers slides its windows by strides of memory and writes into slices, whose places a trace takes from its own
text; here each block of tokens meets the one before, itself and the next (Beltagy et al. 2020, section 3.1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MethodType

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from edgepack.original.library import PretrainedModel


@contextmanager
def blockwise(module: nn.Module) -> Iterator[None]:
    """Let attention of windows in ``module`` be computed by blocks meanwhile, and texts keep their length.

    Tokens of global attention have to be a text's first, as all heads of transformers' Longformer have them.
    """
    found = [(part, *own) for part in module.modules() if (own := _INSTEAD.get(type(part).__name__))]
    try:
        for part, name, method in found:
            setattr(part, name, MethodType(method, part))
        yield
    finally:
        for part, name, _ in found:
            delattr(part, name)


def _unpadded(
    self: nn.Module,
    input_ids: Tensor,
    attention_mask: Tensor,
    token_type_ids: Tensor,
    position_ids: Tensor | None,
    inputs_embeds: Tensor | None,
    pad_token_id: int,
) -> tuple[object, ...]:
    """Return no padding and the inputs as they are: each layer pads to whole blocks of its own."""
    return 0, input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds


def _attend(
    self: PretrainedModel,
    hidden_states: Tensor,
    attention_mask: Tensor,
    is_index_masked: Tensor,
    is_index_global_attn: Tensor,
    is_global_attn: bool,
    **options: object,
) -> tuple[Tensor]:
    """Return what LongformerSelfAttention.forward does, float32 [batch, tokens, hidden].

    ``attention_mask`` [batch, tokens] is 0 for local tokens, negative for padding, positive for global tokens.
    """
    size, least = self.one_sided_attn_window_size, torch.finfo(hidden_states.dtype).min
    query, key, value = (_split(self, hidden_states, name) for name in ("query", "key", "value"))
    blocks = _blocks(query / math.sqrt(self.head_dim), size)
    local = _near((attention_mask == 0).to(query.dtype)[:, None, :, None], size).transpose(3, 4)
    scores = (blocks @ _near(key, size).transpose(3, 4)).masked_fill(local * _band(size) == 0, least)
    if is_global_attn:
        most = is_index_global_attn.sum(1).max()
        own = is_index_global_attn[:, None, None, None, :most]
        of_first = (blocks @ key[:, :, None, :most].transpose(3, 4)).masked_fill(~own, least)
        scores = torch.cat([scores, of_first], dim=-1)
    weights = scores.softmax(-1)
    mixed = weights[..., : 3 * size] @ _near(value, size)
    if is_global_attn:
        mixed = mixed + weights[..., 3 * size :] @ value[:, :, None, :most]
    mixed = mixed.flatten(2, 3)[:, :, : hidden_states.shape[1]].masked_fill(is_index_masked[:, None, :, None], 0)
    if is_global_attn:
        query, key, value = (
            _split(self, states, f"{name}_global")
            for states, name in ((hidden_states[:, :most], "query"), (hidden_states, "key"), (hidden_states, "value"))
        )
        scores = (query / math.sqrt(self.head_dim)) @ key.transpose(2, 3)
        whole = scores.masked_fill(is_index_masked[:, None, None], least).softmax(-1) @ value
        first = torch.where(is_index_global_attn[:, None, :most, None], whole, mixed[:, :, :most])
        mixed = torch.cat([first, mixed[:, :, most:]], dim=2)
    return (mixed.transpose(1, 2).flatten(2),)


def _split(attention: PretrainedModel, states: Tensor, name: str) -> Tensor:
    """Return a projection of ``states`` [batch, tokens, hidden] as [batch, heads, tokens, head_dim]."""
    projected: Tensor = getattr(attention, name)(states)
    return projected.view(*states.shape[:2], attention.num_heads, attention.head_dim).transpose(1, 2)


def _blocks(values: Tensor, size: int) -> Tensor:
    """Return [batch, heads, tokens, width] as [batch, heads, blocks, size, width], zeros at the end."""
    whole = (values.shape[2] + size - 1) // size * size
    return pad(values, (0, 0, 0, size - 1))[:, :, :whole].view(*values.shape[:2], -1, size, values.shape[3])


def _near(values: Tensor, size: int) -> Tensor:
    """Return for each block the one before, itself and the next: [batch, heads, blocks, 3 * size, width]."""
    around = _blocks(pad(values, (0, 0, size, size)), size)
    return torch.cat([around[:, :, :-2], around[:, :, 1:-1], around[:, :, 2:]], dim=3)


def _band(size: int) -> Tensor:
    """Return 1 where a token of a block, by row, may see one of its three blocks: ``size`` tokens to either side."""
    ones = torch.ones(size, 3 * size)
    return ones.triu() * ones.tril(2 * size)


_INSTEAD: Mapping[str, tuple[str, Callable[..., object]]] = {
    "LongformerModel": ("_pad_to_window_size", _unpadded),
    "LongformerSelfAttention": ("forward", _attend),
}
