"""A decoder's weights on their way into a weight file: read in rows, rounded, written, and counted by component."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from edgepack.arrays import Array
from edgepack.decoders.matrix import Weight
from edgepack.formats.coreml.builder.storage import StorageLayout, layout
from edgepack.formats.coreml.builder.store import Blob, Store
from edgepack.parallel import in_parts, rows_at_once
from edgepack.quantization import gptq
from edgepack.quantization.calibration import Calibration
from edgepack.quantization.palettes import palette
from edgepack.quantization.rounding import blocks, float16
from edgepack.quantization.tally import Tally, role_of
from edgepack.records import FINER, Recipe

_SIGN = {4: 0x88, 8: 0x80}  # what turns packed values around a middle into two's complement


@dataclass(frozen=True)
class Written:
    """A matrix in the file."""

    layout: StorageLayout
    values: Blob
    scales_or_lut: Blob | None

    @property
    def bytes(self) -> int:
        """Size as stored."""
        return self.values.bytes + (self.scales_or_lut.bytes if self.scales_or_lut else 0)


class Writer:
    """Writes each weight of a file once, as ``recipe`` says. ``tied``: the embedding is the head too."""

    def __init__(
        self, store: Store, recipe: Recipe, calibration: Calibration | None, tally: Tally, *, tied: bool
    ) -> None:
        self.store, self.recipe, self.calibration, self.tally, self.tied = store, recipe, calibration, tally, tied
        self._vectors: dict[str, Blob] = {}
        self._matrices: dict[str, Written] = {}

    def vector(self, name: str, array: Array, *, made: bool = False) -> Blob:
        """Return a norm, a bias or (``made``: it is no weight) a table, of the type that it has."""
        if name not in self._vectors:
            blob = self._vectors[name] = self.store.add(array.dtype.name, array.shape, [array])
            self.tally.vector(0 if made else array.size, blob.bytes)
        return self._vectors[name]

    def matrix(self, matrix: Weight, name: str) -> Written:
        """Return a weight, whose role the end of ``name`` tells."""
        if matrix.name not in self._matrices:
            role = role_of(name)
            found = layout(matrix.shape, role, self.recipe, tied=self.tied)
            written = self._matrices[matrix.name] = self._written(found, matrix, name)
            parameters = matrix.shape[0] * matrix.shape[1]
            self.tally.matrix(role, parameters, written.bytes, compressed=found.scales_or_lut is not None)
        return self._matrices[matrix.name]

    def _written(self, layout: StorageLayout, matrix: Weight, name: str) -> Written:
        stored_beside: list[Array] = []
        pieces = {"floats": self._floats, "scales": self._scaled, "tables": self._palettes}[layout.kind]
        values = self.store.add(*layout.values, pieces(layout, matrix, name, stored_beside))
        return Written(
            layout, values, self.store.add(*layout.scales_or_lut, stored_beside) if layout.scales_or_lut else None
        )

    def _floats(self, layout: StorageLayout, matrix: Weight, name: str, stored_beside: list[Array]) -> Iterable[Array]:
        def made(start: int, stop: int) -> Array:
            return float16(matrix.rows(start, stop))

        return in_parts(made, matrix.shape[0], rows_at_once(matrix.shape[1]))

    def _scaled(self, layout: StorageLayout, matrix: Weight, name: str, stored_beside: list[Array]) -> Iterator[Array]:
        bits, size = layout.bits, layout.group
        fits = gptq.GROUP % size == 0
        feedback = self.calibration.feedback(name) if self.calibration and bits < FINER and fits else None

        def made(start: int, stop: int) -> tuple[Array, Array]:
            rows = matrix.rows(start, stop)
            rounded = blocks(rows, bits, size) if feedback is None else gptq.rounded(rows, bits, size, feedback)
            return rounded.packed() ^ np.uint8(_SIGN[bits]), float16(rounded.scale)

        for packed, scale in in_parts(made, matrix.shape[0], rows_at_once(matrix.shape[1])):
            stored_beside.append(scale)
            yield packed

    def _palettes(
        self, layout: StorageLayout, matrix: Weight, name: str, stored_beside: list[Array]
    ) -> Iterator[Array]:
        bits, size = layout.bits, layout.group
        rows, width = matrix.shape
        covariance = self.calibration.covariance(name) if self.calibration else None
        feedback = None if covariance is None else gptq.feedback(covariance)
        importance = None if covariance is None else _importance(covariance)[:width]

        def made(start: int, stop: int) -> tuple[Array, Array]:
            whole = matrix.rows(start * size, stop * size)
            found = [palette(group, bits, importance) for group in whole.reshape(-1, size, width)]
            tables, places = (np.stack(part) for part in zip(*found, strict=True))
            if feedback is not None:
                places = gptq.indexed(whole, tables, feedback)
            return _packed(places, bits), tables

        for packed, some in in_parts(made, rows // size, rows_at_once(size * width)):
            stored_beside.append(some)
            yield packed


def _importance(covariance: Array) -> Array:
    """Return weigh each input: its mean square, and as much again for all alike, since calibration is short; float32
    [width].
    """
    squares = np.diagonal(covariance, axis1=1, axis2=2).ravel()
    return np.asarray(squares + squares.mean())


def _packed(indices: Array, bits: int) -> Array:
    """Return uint8: the lowest bits first, without gaps."""
    if bits == 4 and indices.size % 2 == 0:
        pairs = indices.reshape(-1, 2)
        return np.asarray(pairs[:, 0] | pairs[:, 1] << 4)
    each = np.unpackbits(indices.reshape(-1, 1), axis=1, count=bits, bitorder="little")
    return np.packbits(each, bitorder="little")
