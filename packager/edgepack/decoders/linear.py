"""Linear attention by the gated delta rule (Yang et al. 2024, "Gated Delta Networks"), in the place of attention.

A layer keeps one matrix [key head, value head] for each head of values, and not the keys and values of every token.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LinearNames:
    """Names of a layer's tensors: {i} for the layer. Several modules of one role lie below each other as rows."""

    inputs: tuple[str, ...]  # modules: queries, keys and values, which are mixed over tokens, and the gate
    rates: tuple[str, ...]  # modules: what says how much a token writes, and how much is kept
    kernel: str  # a module
    decay: str  # whole names
    step: str
    norm: str  # a module
    out: str


@dataclass(frozen=True, kw_only=True)
class Linear:
    """The sizes of a layer. Each head of queries and keys serves as many consecutive heads of values."""

    key_heads: int
    value_heads: int
    key_head: int  # width
    value_head: int
    kernel: int  # tokens that the convolution of queries, keys and values mixes, itself included
    names: LinearNames
    grouped: bool = False  # the rows of inputs and of rates are stored by head of keys

    @property
    def keys(self) -> int:
        """Width of all keys, and of all queries."""
        return self.key_heads * self.key_head

    @property
    def values(self) -> int:
        """Width of all values, and of the gate."""
        return self.value_heads * self.value_head

    @property
    def mixed(self) -> int:
        """Width of queries, keys and values, which the convolution mixes."""
        return 2 * self.keys + self.values

    @property
    def state(self) -> tuple[int, int, int]:
        """The shape of what a layer knows of all earlier tokens."""
        return self.value_heads, self.key_head, self.value_head

    @property
    def tail(self) -> tuple[int, int]:
        """The shape of what the convolution needs of the latest tokens."""
        return self.mixed, self.kernel - 1

    def tensors(self, layer: int) -> Iterator[str]:
        """Yield the names of all tensors of ``layer``."""
        names = self.names
        for module in (*names.inputs, *names.rates, names.kernel, names.norm, names.out):
            yield f"{module.format(i=layer)}.weight"
        yield from (name.format(i=layer) for name in (names.decay, names.step))
