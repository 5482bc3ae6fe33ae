"""A decoder's weights on their way into the file: read in rows, rounded, written, and counted by component."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgepack.arrays import Array
from edgepack.decoders.matrix import Weight
from edgepack.formats.onnx.builder.store import Store
from edgepack.parallel import in_parts, rows_at_once
from edgepack.quantization import gptq
from edgepack.quantization.calibration import Calibration
from edgepack.quantization.rounding import block_size, block_sizes, blocks, float16
from edgepack.quantization.tally import Tally, role_of
from edgepack.records import FINER, Recipe

_FLOATS = {32: (ir.DataType.FLOAT, np.float32), 16: (ir.DataType.FLOAT16, np.float16)}


@dataclass(frozen=True)
class Rounded:
    """A matrix in blocks, in the file: values as MatMulNBits takes them, one float16 scale per block."""

    values: ir.ExternalTensor  # uint8 [rows, blocks, size * bits / 8]
    scale: ir.ExternalTensor  # float16 [rows, blocks]
    bits: int
    size: int
    shape: tuple[int, int]

    @property
    def padded(self) -> int:
        """The width with its last block filled up."""
        return -(-self.shape[1] // self.size) * self.size


class Writer:
    """Writes weights as ``recipe`` says. ``tied``: the embedding is the head too, so it is kept as fine as one."""

    def __init__(self, store: Store, recipe: Recipe, calibration: Calibration | None, *, tied: bool) -> None:
        self.store, self.recipe, self.calibration, self.tied = store, recipe, calibration, tied
        self._vectors: dict[str, ir.ExternalTensor] = {}
        self._matrices: dict[str, Rounded | ir.ExternalTensor] = {}
        self.tally = Tally()

    def vector(self, name: str, array: Array, *, made: bool = False) -> ir.ExternalTensor:
        """Return a norm, a bias or (``made``: it is no weight) a table, float32; the same name is written once."""
        if name not in self._vectors:
            self.tally.vector(0 if made else array.size, array.nbytes)
            self._vectors[name] = self.store.add(name, array.shape, ir.DataType.FLOAT, [array])
        return self._vectors[name]

    def matrix(self, matrix: Weight, name: str) -> Rounded | ir.ExternalTensor:
        """Return a weight, whose role the end of ``name`` tells."""
        if matrix.name in self._matrices:
            return self._matrices[matrix.name]
        role = role_of(name)
        bits = self.recipe.bits("head" if role == "embedding" and self.tied else role)
        written = self._rounded(matrix, name, bits) if bits <= FINER else self._float(matrix, name, bits)
        self._matrices[matrix.name] = written
        self._count(matrix, role, written)
        return written

    def whole(self, matrix: Weight, name: str) -> ir.ExternalTensor:
        """Return a router or the rates of linear attention, float32 whatever the recipe says: they are small, and much
        hangs on them.
        """
        written = self._matrices.get(matrix.name)
        if not isinstance(written, ir.ExternalTensor):
            written = self._matrices[matrix.name] = self._float(matrix, name, 32)
            self._count(matrix, role_of(name), written)  # with what it chooses from, or works on
        return written

    def experts(self, inner: Weight, outer: Weight) -> tuple[Rounded | ir.ExternalTensor, ...]:
        """Return the two weights of a layer's experts, in the same bits and blocks, which must fill both widths.

        Widths that none fills stay floats. What enters the layer calibrates the first of them for all experts; of what
        enters the second each expert sees too little.
        """
        bits = max(self.recipe.bits(role_of(matrix.name)) for matrix in (inner, outer))
        widths = (inner.shape[1], outer.shape[1])
        fitting = (size for size in block_sizes(self.recipe.block_size) if not any(width % size for width in widths))
        size = next(fitting, 0) if bits <= FINER else 0
        for matrix in (inner, outer):
            if matrix.name not in self._matrices:
                written = self._expert(matrix, bits, size)
                self._matrices[matrix.name] = written
                self._count(matrix, role_of(matrix.name), written)
        return self._matrices[inner.name], self._matrices[outer.name]

    def _expert(self, matrix: Weight, bits: int, size: int) -> Rounded | ir.ExternalTensor:
        if not size:
            return self._float(matrix, matrix.name, max(bits, 16))
        feedback = self.calibration.feedback(matrix.name) if self.calibration and bits < FINER else None
        return self._in_blocks(matrix, matrix.name, bits, size, feedback)

    def _count(self, matrix: Weight, role: str, written: Rounded | ir.ExternalTensor) -> None:
        rounded = isinstance(written, Rounded)
        stored = (written.values, written.scale) if isinstance(written, Rounded) else (written,)
        parameters = matrix.shape[0] * matrix.shape[1]
        self.tally.matrix(role, parameters, sum(tensor.nbytes for tensor in stored), compressed=rounded)

    def _float(self, matrix: Weight, name: str, bits: int) -> ir.ExternalTensor:
        kind, dtype = _FLOATS[bits]

        def made(start: int, stop: int) -> Array:
            rows = matrix.rows(start, stop)
            return float16(rows) if dtype == np.float16 else rows.astype(dtype, copy=False)

        pieces = in_parts(made, matrix.shape[0], rows_at_once(matrix.shape[1]))
        return self.store.add(f"{name}.weight", matrix.shape, kind, pieces)

    def _rounded(self, matrix: Weight, name: str, bits: int) -> Rounded:
        size = block_size(matrix.shape[1], self.recipe.block_size, bits)
        feedback = self.calibration.feedback(name) if self.calibration and bits < FINER else None
        return self._in_blocks(matrix, name, bits, size, feedback)

    def _in_blocks(self, matrix: Weight, name: str, bits: int, size: int, feedback: list[Array] | None) -> Rounded:
        scales: list[Array] = []

        def made(start: int, stop: int) -> tuple[Array, Array]:
            rows = matrix.rows(start, stop)
            rounded = blocks(rows, bits, size) if feedback is None else gptq.rounded(rows, bits, size, feedback)
            return rounded.packed(), float16(rounded.scale)

        def values() -> Iterator[Array]:
            for packed, scale in in_parts(made, matrix.shape[0], rows_at_once(matrix.shape[1])):
                scales.append(scale)
                yield packed

        shape = (matrix.shape[0], -(-matrix.shape[1] // size), size * bits // 8)
        stored = self.store.add(f"{name}.q{bits}", shape, ir.DataType.UINT8, values())
        scale = self.store.add(f"{name}.scale", shape[:2], ir.DataType.FLOAT16, scales)
        return Rounded(stored, scale, bits, size, matrix.shape)
