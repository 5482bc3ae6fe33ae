"""The experts of a layer as its checkpoint holds them: a tensor for each, one for all, or one for all in MXFP4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgepack import weights
from edgepack.arrays import Array
from edgepack.decoders.experts import BLOCKS, SCALES, ExpertNames, Experts
from edgepack.decoders.matrix import Matrix, Weight, finite
from edgepack.decoders.stack import Mxfp4, member
from edgepack.errors import DamagedWeights
from edgepack.weights import Stored

_AGAIN = "the checkpoint and its config.json do not belong together, or a file is missing"


@dataclass(frozen=True)
class SharedWeights:
    """The weights of an expert that every token passes through."""

    gate_up: Matrix  # [2 width, hidden], gate above up
    down: Matrix  # [hidden, width], with the branch's scale
    share: Matrix  # [1, hidden]


@dataclass(frozen=True)
class ExpertWeights:
    """The weights of ``experts``, between which and the residual vectors are ``hidden`` wide."""

    stored: Mapping[str, Stored]
    prefix: str
    experts: Experts
    hidden: int
    scale: float  # of what the layer adds to the residual

    @cached_property
    def form(self) -> ExpertNames:
        """The names that the checkpoint has."""
        return self.experts.form(self.stored, self.prefix)

    def router(self, layer: int) -> Matrix:
        """Return [experts, hidden], with a bias where the description says so."""
        path, shape = self.prefix + self.form.router.format(i=layer), (self.experts.count, self.hidden)
        weight = self._tensor(f"{path}.weight", shape)
        bias = self._tensor(f"{path}.bias", shape[:1]) if self.experts.biased else None
        return Matrix(path, (weight,), None if bias is None else finite(weights.read(bias), bias.name))

    def router_norm(self, layer: int) -> Array | None:
        """Return the weight of the norm in front of the router, float32 [hidden], where there is one."""
        found = self._vector(self.form.router_norm, layer, self.hidden)
        return None if found is None else found * np.float32(self.hidden**-0.5)

    def correction(self, layer: int) -> Array | None:
        """Return what is added to each expert's weight where they are chosen, float32 [experts], if something is."""
        return self._vector(self.form.correction, layer, self.experts.count)

    def gate_up(self, layer: int) -> list[Weight]:
        """Return of each expert [2 width, hidden]: rows of gate and up by turns."""
        rows = 2 * self.experts.width
        names = tuple(self.prefix + name.format(i=layer, e="{e}") for name in self.form.gate_up)
        by_turns = None if self.experts.interleaved else np.arange(rows).reshape(2, -1).T.ravel()
        return self._members(names, (rows, self.hidden), by_turns)

    def down(self, layer: int) -> list[Weight]:
        """Return of each expert [hidden, width], with the branch's scale and its own."""
        name = self.prefix + self.form.down.format(i=layer, e="{e}")
        own = self._vector(self.form.each, layer, self.experts.count)
        scales = [self.scale * (1.0 if own is None else float(own[expert])) for expert in range(self.experts.count)]
        return self._members((name,), (self.hidden, self.experts.width), None, scales)

    def biases(self, layer: int) -> tuple[Array, Array] | None:
        """Return float32 [experts, 2 width], of gate and up by turns, and [experts, hidden]; None without biases."""
        if not self.experts.biased:
            return None
        count = self.experts.count
        names = (self.form.gate_up[0], self.form.down)
        sizes = (2 * self.experts.width, self.hidden)
        found = [
            self._tensor(f"{self.prefix}{name.format(i=layer)}_bias", (count, size))
            for name, size in zip(names, sizes, strict=True)
        ]
        inner, outer = (finite(weights.read(one), one.name) for one in found)
        return inner, outer * np.float32(self.scale)

    def shared(self, layer: int) -> SharedWeights | None:
        """Return the weights of the expert that every token passes through, where there is one."""
        found = self.experts.shared
        if not found:
            return None
        inner = [f"{self.prefix}{module.format(i=layer)}" for module in found.gate_up]
        down, share = (f"{self.prefix}{module.format(i=layer)}" for module in (found.down, found.share))
        parts = tuple(self._tensor(f"{name}.weight", (found.width, self.hidden)) for name in inner)
        ends = self._tensor(f"{down}.weight", (self.hidden, found.width))
        return SharedWeights(
            gate_up=Matrix(inner[0], parts, None),
            down=Matrix(down, (ends,), None, scale=self.scale),
            share=Matrix(share, (self._tensor(f"{share}.weight", (1, self.hidden)),), None),
        )

    def _members(
        self, names: tuple[str, ...], shape: tuple[int, int], order: Array | None, scales: Sequence[float] = ()
    ) -> list[Weight]:
        count, whole = self.experts.count, "{e}" not in names[0]
        if whole and names[0] + BLOCKS in self.stored:
            return self._packed(names[0], shape)
        transposed = whole and self.experts.transposed
        each = shape[::-1] if transposed else (shape[0] // len(names), shape[1])
        if whole:
            tensor = self._tensor(names[0], (count, *each))
            parts: list[tuple[Stored, ...]] = [(member(tensor, expert),) for expert in range(count)]
        else:
            parts = [tuple(self._tensor(name.format(e=e), each) for name in names) for e in range(count)]
        return [
            Matrix(f"{names[0].format(e=e)}.{e}", part, None, transposed, order, 0, scales[e] if scales else 1.0)
            for e, part in enumerate(parts)
        ]

    def _packed(self, name: str, shape: tuple[int, int]) -> list[Weight]:
        """Return experts in MXFP4, which are stored [experts, out, in / 32, 16]."""
        count, (rows, width) = self.experts.count, shape
        blocks = self._tensor(name + BLOCKS, (count, rows, width // 32, 16))
        scales = self._tensor(name + SCALES, (count, rows, width // 32))
        return [Mxfp4(f"{name}.{e}", member(blocks, e), member(scales, e)) for e in range(count)]

    def _vector(self, name: str, layer: int, size: int) -> Array | None:
        """Return float32 [size] of the form's ``name``; None where it has none."""
        if not name:
            return None
        found = self._tensor(self.prefix + name.format(i=layer), (size,))
        return finite(weights.read(found), found.name)

    def _tensor(self, name: str, shape: tuple[int, ...]) -> Stored:
        found = self.stored.get(name)
        if found is None:
            raise DamagedWeights(f"the weights lack {name!r}", hint=_AGAIN)
        if found.shape != shape:
            raise DamagedWeights(f"{name} is {list(found.shape)}; config.json says {list(shape)}", hint=_AGAIN)
        return found
