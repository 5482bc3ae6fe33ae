"""A weight of a language model, read from safetensors in pieces of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from edgepack import weights
from edgepack.arrays import Array
from edgepack.errors import DamagedWeights
from edgepack.weights import Stored


class Weight(Protocol):
    """A weight [rows, width] that is read in pieces of rows."""

    @property
    def name(self) -> str:
        """The name that it is stored by, or made of it."""

    @property
    def bias(self) -> Array | None:
        """float32 [rows]."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows (outputs) and width (inputs)."""

    def rows(self, start: int, stop: int) -> Array:
        """Return float32 [stop - start, width]. Raises DamagedWeights where a number is not finite."""


@dataclass(frozen=True)
class Matrix:
    """A weight [rows, width], of one tensor or of several below each other; nothing is read until asked for."""

    name: str
    parts: tuple[Stored, ...]
    bias: Array | None  # float32 [rows]
    transposed: bool = False
    order: Array | None = None  # which stored row comes where
    skipped: int = 0  # stored rows in front of the first, of a matrix of one part
    scale: float = 1.0  # of every number, the bias's too

    @property
    def shape(self) -> tuple[int, int]:
        """Rows (outputs) and width (inputs)."""
        first = self.parts[0].shape
        if self.transposed:
            return first[1], first[0]
        return sum(part.shape[0] for part in self.parts) - self.skipped, first[1]

    def rows(self, start: int, stop: int) -> Array:
        """Return float32 [stop - start, width]. Raises DamagedWeights where a number is not finite."""
        if self.transposed:
            found = np.ascontiguousarray(_read(self.parts[0], (slice(None), slice(start, stop))).T)
        elif self.order is not None:
            found = self._gathered(self.order[start:stop])
        else:
            pieces = list(self._pieces(start + self.skipped, stop + self.skipped))
            found = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        return found if self.scale == 1.0 else found * np.float32(self.scale)

    def reordered(self, order: Array) -> Matrix:
        """Return the same with its rows (and bias) in another order; ``order`` [rows] says which row comes where."""
        before = np.arange(self.shape[0]) if self.order is None else self.order
        return replace(self, order=before[order], bias=None if self.bias is None else self.bias[order])

    def _gathered(self, wanted: Array) -> Array:
        found = np.empty((len(wanted), self.shape[1]), np.float32)
        begin = 0
        for part in self.parts:
            here = (wanted >= begin) & (wanted < begin + part.shape[0])
            if here.any():
                low, high = int(wanted[here].min()), int(wanted[here].max()) + 1
                rows = _read(part, slice(low - begin, high - begin))
                found[here] = rows[wanted[here] - low]
            begin += part.shape[0]
        return found

    def _pieces(self, start: int, stop: int) -> Iterator[Array]:
        begin = 0
        for part in self.parts:
            low, high = max(start - begin, 0), min(stop - begin, part.shape[0])
            if low < high:
                yield _read(part, slice(low, high))
            begin += part.shape[0]


def _read(part: Stored, which: slice | tuple[slice, ...]) -> Array:
    """Return float32 numbers of one tensor, by whose own name an error tells it from the others of a matrix."""
    return finite(weights.read(part, which), part.name)


def finite(values: Array, name: str) -> Array:
    """Return ``values``. Raises DamagedWeights where one of them is not finite."""
    if not np.isfinite(values).all():
        raise DamagedWeights(f"the weight {name!r} holds NaN or infinity", hint="no recipe can repair it")
    return values
