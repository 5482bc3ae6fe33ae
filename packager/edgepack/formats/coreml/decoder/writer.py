"""A decoder's weights on their way into the weight file: read in rows, rounded, written, and counted by component."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgepack.decoders.checkpoint import Matrix
from edgepack.formats.coreml.compressed import divisor
from edgepack.formats.coreml.decoder.store import Blob, Store
from edgepack.formats.coreml.palettes import palette
from edgepack.formats.quantization import gptq
from edgepack.formats.quantization.calibration import Calibration
from edgepack.formats.quantization.rounding import blocks
from edgepack.parallel import in_parts
from edgepack.records import FINER, PARTS, Component, Coverage, Recipe
from edgepack.runtime.types import Array

_VALUES = 1 << 20  # of a weight that a thread holds at once
_SMALLEST = 16  # block
_SIGN = {4: 0x88, 8: 0x80}  # what turns packed values around a middle into two's complement


@dataclass(frozen=True)
class Written:
    """A matrix in the file: floats, integers with scales, or indices with tables."""

    form: str  # floats | scales | tables
    values: Blob  # [rows, width], the width filled up to whole blocks
    beside: Blob | None  # scales float16 [rows, blocks]; tables float16 [groups, 1, 2 ** bits, 1]
    shape: tuple[int, int]  # of the matrix

    @property
    def bytes(self) -> int:
        """As stored."""
        return self.values.bytes + (self.beside.bytes if self.beside else 0)


class Writer:
    """Writes weights as ``recipe`` says. ``tied``: the embedding is the head too, so it is kept as fine as one."""

    def __init__(self, store: Store, recipe: Recipe, calibration: Calibration | None, *, tied: bool) -> None:
        self.store, self.recipe, self.calibration, self.tied = store, recipe, calibration, tied
        self._parameters: dict[str, int] = defaultdict(int)
        self._bytes: dict[str, int] = defaultdict(int)
        self._compressed = 0

    @property
    def components(self) -> tuple[Component, ...]:
        """Bytes by part of the model."""
        return tuple(
            Component(name=name, parameters=self._parameters[name], bytes=stored)
            for name, stored in sorted(self._bytes.items())
        )

    @property
    def coverage(self) -> Coverage:
        """What was rounded of all that are no vectors."""
        total = sum(count for name, count in self._parameters.items() if name != "other")
        return Coverage(compressed=self._compressed, total=total)

    def vector(self, array: Array, *, made: bool = False) -> Blob:
        """A norm, a bias or (``made``: it is no weight) a table, of the type that it has."""
        blob = self.store.add(array.dtype.name, array.shape, [array])
        self._parameters["other"] += 0 if made else array.size
        self._bytes["other"] += blob.bytes
        return blob

    def matrix(self, matrix: Matrix, name: str) -> Written:
        """A weight, whose role is the end of ``name``: embedding, positions, qkv, out, inner, down or head."""
        role = name.rsplit(".", 1)[-1]
        bits = self.recipe.bits("head" if role == "embedding" and self.tied else role)
        written = self._form(matrix, name, bits)
        part, size = PARTS.get(role, role), matrix.shape[0] * matrix.shape[1]
        self._parameters[part] += size
        self._bytes[part] += written.bytes
        self._compressed += size if written.beside else 0
        return written

    def _form(self, matrix: Matrix, name: str, bits: int) -> Written:
        if bits > FINER:
            return self._floats(matrix)
        if self.recipe.scheme == "palette" and bits < FINER:
            return self._palettes(matrix, bits)
        return self._scaled(matrix, name, bits)

    def _floats(self, matrix: Matrix) -> Written:
        def made(start: int, stop: int) -> Array:
            return matrix.rows(start, stop).astype(np.float16)

        pieces = in_parts(made, matrix.shape[0], _at_once(matrix))
        return Written("floats", self.store.add("float16", matrix.shape, pieces), None, matrix.shape)

    def _scaled(self, matrix: Matrix, name: str, bits: int) -> Written:
        size = self._block_size(matrix.shape[1], bits)
        fits = gptq.STRETCH % size == 0
        shares = self.calibration.feedback(name) if self.calibration and bits < FINER and fits else None
        scales: list[Array] = []

        def made(start: int, stop: int) -> tuple[Array, Array]:
            rows = matrix.rows(start, stop)
            rounded = blocks(rows, bits, size) if shares is None else gptq.rounded(rows, bits, size, shares)
            return rounded.packed() ^ np.uint8(_SIGN[bits]), rounded.scale.astype(np.float16)

        def values() -> Iterator[Array]:
            for packed, scale in in_parts(made, matrix.shape[0], _at_once(matrix)):
                scales.append(scale)
                yield packed

        rows, count = matrix.shape[0], -(-matrix.shape[1] // size)
        stored = self.store.add(f"int{bits}", (rows, count * size), values())
        return Written("scales", stored, self.store.add("float16", (rows, count), scales), matrix.shape)

    def _palettes(self, matrix: Matrix, bits: int) -> Written:
        rows, width = matrix.shape
        size = divisor(rows, self.recipe.block_size or rows)
        size = rows if size * width * bits % 8 else size  # groups that shared a byte could not be written apart
        tables: list[Array] = []

        def made(start: int, stop: int) -> tuple[Array, Array]:
            whole = matrix.rows(start * size, stop * size).reshape(-1, size, width)
            found = [palette(group, bits) for group in whole]
            return _packed(np.stack([places for _, places in found]), bits), np.stack([table for table, _ in found])

        def indices() -> Iterator[Array]:
            for packed, some in in_parts(made, rows // size, max(_VALUES // (size * width), 1)):
                tables.append(some)
                yield packed

        stored = self.store.add(f"uint{bits}", matrix.shape, indices())
        beside = self.store.add("float16", (rows // size, 1, 1 << bits, 1), tables)
        return Written("tables", stored, beside, matrix.shape)

    def _block_size(self, width: int, bits: int) -> int:
        """The recipe's or a half of it that divides ``width``; else what stores a row in the fewest bytes, filled up.

        A recipe without one, and one that has other forms for other parts, has a scale per row.
        """
        most = self.recipe.block_size if self.recipe.scheme == "blocks" else 0
        if not most:
            return width + width % (8 // bits)  # rows begin with a byte
        sizes = [most >> step for step in range(most.bit_length()) if most >> step >= _SMALLEST]
        exact = [size for size in sizes if width % size == 0]
        return exact[0] if exact else min(sizes, key=lambda size: -(-width // size) * (size * bits // 8 + 2))


def _packed(indices: Array, bits: int) -> Array:
    """uint8: the lowest bits first, without gaps."""
    if bits == 4 and indices.size % 2 == 0:
        pairs = indices.reshape(-1, 2)
        return np.asarray(pairs[:, 0] | pairs[:, 1] << 4)
    each = np.unpackbits(indices.reshape(-1, 1), axis=1, count=bits, bitorder="little")
    return np.packbits(each, bitorder="little")


def _at_once(matrix: Matrix) -> int:
    return max(_VALUES // matrix.shape[1], 1)
