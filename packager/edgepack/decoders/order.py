"""The order of a decoder's layer, written once: the reference and both emitters go through it with their operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

    def linear_attention(self, x: T, layer: int) -> T:
        """Return the branch of linear attention, in the place of attention."""
        ...

    def feed_forward(self, x: T, layer: int) -> T:
        """Return the branch of the feed-forward layer."""
        ...

    def experts(self, x: T, routed: T, layer: int) -> T:
        """Return the branch of the experts beside the feed-forward layer, whose router reads ``routed``."""
        ...

    def both(self, x: T, y: T, layer: int) -> T:
        """Return the sum of two branches."""
        ...

    def predicted(self, x: T, layer: int) -> T:
        """Return the residuals beside each other [batch, tokens, residuals, hidden] as the layer expects them."""
        ...

    def active(self, x: T, layer: int) -> T:
        """Return the one of the residuals that the layer computes."""
        ...

    def low_rank(self, x: T, layer: int) -> T:
        """Return the branch of low rank."""
        ...

    def balanced(self, x: T, y: T, layer: int) -> T:
        """Return the sum of two over the root of two."""
        ...

    def corrected(self, x: T, made: T, layer: int) -> T:
        """Return the predicted residuals ``x``, moved by what the layer ``made`` of the active one."""
        ...

    def gateable(self, x: T, layer: int) -> T:
        """Return the active one of the residuals, as the layer's own vector gates it."""
        ...

    def spread(self, x: T, branch: T, layer: int) -> T:
        """Return the residuals with ``branch`` added to all but the first."""
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
    """Return the residual ``x`` after ``layer``, or the residuals beside each other."""
    if decoder.altup:
        return _alternating(operations, decoder, x, layer)
    d, names = decoder, decoder.names

    def normed(x: T, path: str) -> T:
        return operations.norm(x, path, layer) if path else x

    first, second = ("", "") if d.normed_sum else (names.norm1, names.norm2)
    seen = normed(x, first)
    attended = normed(_mixing(operations, d.at(layer))(seen, layer), names.after_attention)
    if d.parallel:
        fed = operations.feed_forward(normed(x, second) if second else seen, layer)
        return operations.add(x, [attended, normed(fed, names.after_mlp)], layer, last=True)
    x = operations.add(x, [attended], layer, last=False)
    if d.normed_sum:
        x = normed(x, names.norm1)
    fed = operations.feed_forward(normed(x, second), layer)
    if names.before_experts:
        chosen = operations.experts(normed(x, names.before_experts), x, layer)
        fed = operations.both(normed(fed, names.after_dense), normed(chosen, names.after_experts), layer)
    x = operations.add(x, [normed(fed, names.after_mlp)], layer, last=not d.layer_width)
    if d.layer_width:
        x = operations.add(x, [normed(operations.layer_input(x, layer), names.after_input)], layer, last=True)
    if names.layer_scale:
        x = operations.scaled(x, layer)
    return normed(x, names.norm2) if d.normed_sum else x


def _alternating(operations: Operations[T], decoder: Decoder, x: T, layer: int) -> T:
    """Return the residuals beside each other ``x`` after ``layer`` (Gemma 3n)."""
    names = decoder.names
    before = operations.predicted(x, layer)
    first = operations.active(before, layer)
    seen = operations.norm(first, names.norm1, layer)
    augmented = operations.both(
        seen, operations.norm(operations.low_rank(seen, layer), names.after_laurel, layer), layer
    )
    attended = operations.norm(operations.attention(seen, layer), names.after_attention, layer)
    made = operations.balanced(operations.add(first, [attended], layer, last=False), augmented, layer)
    fed = operations.feed_forward(operations.norm(made, names.norm2, layer), layer)
    made = operations.add(made, [operations.norm(fed, names.after_mlp, layer)], layer, last=True)
    after = operations.corrected(before, made, layer)
    branch = operations.layer_input(operations.gateable(after, layer), layer)
    return operations.spread(after, operations.norm(branch, names.after_input, layer), layer)


def _mixing(operations: Operations[T], shape: Decoder) -> Callable[[T, int], T]:
    """Return what mixes tokens in a layer of this shape."""
    if shape.linear:
        return operations.linear_attention
    return operations.convolution if shape.convolution else operations.attention
