"""The order of a decoder's layer, written once: the reference and both emitters go through it with their operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from edgepack.decoders import Decoder

T = TypeVar("T")


class Operations(Protocol[T]):
    """Operations of a layer on ``x`` [batch, tokens, hidden]; every result has its shape."""

    def norm(self, x: T, path: str, layer: int) -> T:
        """Return the norm of that path."""
        ...

    def attention(self, x: T, layer: int) -> T:
        """Return the branch of attention."""
        ...

    def convolution(self, x: T, layer: int) -> T:
        """Return the branch of a short convolution, in the place of attention."""
        ...

    def feed_forward(self, x: T, layer: int) -> T:
        """Return the branch of the feed-forward layer."""
        ...

    def layer_input(self, x: T, layer: int) -> T:
        """Return the branch of the vector that the layer takes beside the residual."""
        ...

    def scaled(self, x: T, layer: int) -> T:
        """Return ``x`` times the layer's own number."""
        ...

    def add(self, x: T, branches: Sequence[T], layer: int, *, last: bool) -> T:
        """Return a residual with one branch or with both; ``last``: no branch follows in this layer."""
        ...


def through(operations: Operations[T], decoder: Decoder, x: T, layer: int) -> T:
    """Return the residual ``x`` after ``layer``."""
    d, names = decoder, decoder.names

    def normed(x: T, path: str) -> T:
        return operations.norm(x, path, layer) if path else x

    first, second = ("", "") if d.normed_sum else (names.norm1, names.norm2)
    seen = normed(x, first)
    mix = operations.convolution if d.at(layer).convolution else operations.attention
    attended = normed(mix(seen, layer), names.after_attention)
    if d.parallel:
        fed = operations.feed_forward(normed(x, second) if second else seen, layer)
        return operations.add(x, [attended, normed(fed, names.after_mlp)], layer, last=True)
    x = operations.add(x, [attended], layer, last=False)
    if d.normed_sum:
        x = normed(x, names.norm1)
    fed = operations.feed_forward(normed(x, second), layer)
    x = operations.add(x, [normed(fed, names.after_mlp)], layer, last=not d.layer_width)
    if d.layer_width:
        x = operations.add(x, [normed(operations.layer_input(x, layer), names.after_input)], layer, last=True)
    if names.layer_scale:
        x = operations.scaled(x, layer)
    return normed(x, names.norm2) if d.normed_sum else x
