"""Attention masks of transformers that a tracer can follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from torch import Tensor
from transformers import masking_utils

from edgepack.documents import JsonDict

_INSTEAD: JsonDict = {
    "_vmap_expansion_sdpa": lambda pattern: _expansion(pattern),
    "TransformGetItemToIndex": nullcontext,
}


@contextmanager
def broadcast() -> Iterator[None]:
    """Make masks of a model's own pattern (Gemma 3's windows) by broadcasting meanwhile, as all others are made.

    transformers maps such a pattern over the positions by torch.vmap, and looks its rows up by an operator that goes
    with it; the tracer can record neither (``unordered_map::at``).
    """
    kept = {name: getattr(masking_utils, name) for name in _INSTEAD}
    try:
        for name, made in _INSTEAD.items():
            setattr(masking_utils, name, made)
        yield
    finally:
        for name, made in kept.items():
            setattr(masking_utils, name, made)


def _expansion(pattern: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def expanded(*indices: Tensor) -> Tensor:
        sides = [one.shape[0] for one in indices]  # not len, which the tracer cannot see
        return pattern(*masking_utils._non_vmap_expansion_sdpa(*indices)).expand(*sides)

    return expanded
