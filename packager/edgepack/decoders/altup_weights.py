"""The weights of alternating updates as their description names them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from edgepack.arrays import Array
from edgepack.decoders.altup import AltUp
from edgepack.decoders.matrix import Matrix


class Stored(Protocol):
    """A checkpoint that reads weights by the description's paths."""

    def product(self, paths: tuple[str, ...], shape: tuple[int, int], layer: int = 0) -> Matrix:
        """Return the weights of modules below each other."""

    def numbers(self, name: str, *shape: int, layer: int = 0) -> Array:
        """Return a tensor by its whole name."""


@dataclass(frozen=True)
class AltUpWeights:
    """Weights of ``altup`` in a checkpoint, whose residuals are ``hidden`` wide."""

    checkpoint: Stored
    altup: AltUp
    hidden: int

    def check(self, layers: int) -> None:
        """Look at the name and shape of every weight. Raises DamagedWeights."""
        self.enter(), self.leave()
        for layer in range(layers):
            self.router(layer), self.prediction(layer), self.correction(layer), self.scale(layer)

    def enter(self) -> Matrix:
        """Return what makes the other residuals of the embedding, below each other, [(count - 1) hidden, hidden]."""
        return self.checkpoint.product(self.altup.enter, (len(self.altup.enter) * self.hidden, self.hidden))

    def leave(self) -> list[Matrix]:
        """Return what each of the other residuals goes through at the end, [hidden, hidden]."""
        return [self.checkpoint.product((path,), (self.hidden, self.hidden)) for path in self.altup.leave]

    def router(self, layer: int) -> Matrix:
        """Return [count, hidden], over the width of what enters."""
        found = self.checkpoint.product((self.altup.router,), (self.altup.count, self.hidden), layer)
        return replace(found, scale=1 / self.hidden)

    def prediction(self, layer: int) -> Matrix:
        """Return [count count, count]: how much of a residual is in another's prediction, one's after the other."""
        count = self.altup.count
        return self.checkpoint.product((self.altup.prediction,), (count * count, count), layer)

    def correction(self, layer: int) -> Matrix:
        """Return [count, count]."""
        count = self.altup.count
        return self.checkpoint.product((self.altup.correction,), (count, count), layer)

    def scale(self, layer: int) -> Array | None:
        """Return float32 [hidden], where the residual is multiplied before a layer's own vector gates it."""
        return self.checkpoint.numbers(self.altup.scale, self.hidden, layer=layer) if self.altup.scaled else None
