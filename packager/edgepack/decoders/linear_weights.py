"""The weights of a layer of linear attention, as its checkpoint holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgepack import weights
from edgepack.arrays import Array
from edgepack.decoders.linear import Linear
from edgepack.decoders.matrix import Matrix, finite
from edgepack.errors import DamagedWeights
from edgepack.weights import Stored

_AGAIN = "the checkpoint and its config.json do not belong together, or a file is missing"


@dataclass(frozen=True)
class LinearWeights:
    """The weights of ``linear`` in ``layer``, between which and the residual vectors are ``hidden`` wide."""

    stored: Mapping[str, Stored]
    prefix: str
    linear: Linear
    layer: int
    hidden: int
    scale: float  # of what the layer adds to the residual

    def inputs(self) -> Matrix:
        """Return queries, keys, values and the gate below each other, [2 keys + 2 values, hidden]."""
        found = self.linear
        return self._rows(found.names.inputs, (found.keys, found.keys, found.values, found.values))

    def rates(self) -> Matrix:
        """Return what says how much is written above what says how much is kept, [2 value_heads, hidden]."""
        return self._rows(self.linear.names.rates, (self.linear.value_heads,) * 2)

    def kernel(self) -> Array:
        """Return the weight of each token that is mixed, the latest last, float32 [mixed, kernel]."""
        found = self.linear
        return self._array(f"{found.names.kernel}.weight", (found.mixed, 1, found.kernel))[:, 0]

    def decay(self) -> Array:
        """Return by how much what is known shrinks for each unit of a step, below 0, float32 [value_heads]."""
        return np.asarray(-np.exp(self._array(self.linear.names.decay, (self.linear.value_heads,))))

    def step(self) -> Array:
        """Return what is added to a step before its softplus, float32 [value_heads]."""
        return self._array(self.linear.names.step, (self.linear.value_heads,))

    def norm(self) -> Array:
        """Return the weight of the norm of each head of values, float32 [value_head]."""
        return self._array(f"{self.linear.names.norm}.weight", (self.linear.value_head,))

    def out(self) -> Matrix:
        """Return [hidden, values], with the branch's scale."""
        name = self.linear.names.out.format(i=self.layer)
        part = self._tensor(f"{name}.weight", (self.hidden, self.linear.values))
        return Matrix(self.prefix + name, (part,), None, scale=self.scale)

    def check(self) -> None:
        """Look at the name and shape of every weight, and read the small ones. Raises DamagedWeights."""
        self.inputs(), self.rates(), self.kernel(), self.decay(), self.step(), self.norm(), self.out()

    def _rows(self, modules: tuple[str, ...], sizes: tuple[int, ...]) -> Matrix:
        """Return a matrix of parts of ``sizes`` rows; its tensors hold them in this order, or by head of keys."""
        names = [module.format(i=self.layer) for module in modules]
        # all but the last part may share a tensor: the last one has it alone
        shares = (sizes,) if len(names) == 1 else (sizes[:-1], sizes[-1:])
        parts = tuple(
            self._tensor(f"{name}.weight", (sum(share), self.hidden)) for name, share in zip(names, shares, strict=True)
        )
        order = self._apart(sizes) if self.linear.grouped else None
        return Matrix(self.prefix + names[0], parts, None, order=order)

    def _apart(self, sizes: tuple[int, ...]) -> Array:
        """Return which stored row comes where, of rows of ``sizes`` that are stored by head of keys."""
        each = [size // self.linear.key_heads for size in sizes]
        by_head = np.arange(sum(sizes)).reshape(self.linear.key_heads, -1)
        return np.concatenate([part.ravel() for part in np.split(by_head, np.cumsum(each)[:-1], axis=1)])

    def _array(self, name: str, shape: tuple[int, ...]) -> Array:
        stored = self._tensor(name.format(i=self.layer), shape)
        return finite(weights.read(stored), stored.name)

    def _tensor(self, name: str, shape: tuple[int, ...]) -> Stored:
        found = self.stored.get(self.prefix + name)
        if found is None:
            raise DamagedWeights(f"the weights lack {self.prefix + name!r}", hint=_AGAIN)
        if found.shape != shape:
            raise DamagedWeights(f"{found.name} is {list(found.shape)}; config.json says {list(shape)}", hint=_AGAIN)
        return found
