"""The nodes that use a decoder's weights: products, table look-ups and the constants beside them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgepack.arrays import Array
from edgepack.decoders.matrix import Weight
from edgepack.formats.onnx._graph import CONTRIB
from edgepack.formats.onnx.builder.builder import Builder
from edgepack.formats.onnx.builder.writer import Rounded, Writer
from edgepack.formats.onnx.export.plain import GATHER, codes

_ACCURACY_LEVEL = 4  # of MatMulNBits: multiply in int8, which Arm and x86 do fastest


class Weights:
    """Writes each weight and gives what the graph makes of it, without the operators of ``denied``."""

    def __init__(self, builder: Builder, writer: Writer, denied: Collection[str] = ()) -> None:
        self.g, self.writer, self.denied = builder, writer, denied

    def plain(self, name: str, array: Array, *, made: bool = False) -> ir.Value:
        """Return a vector or a table that was ``made``, float32; the same name is written once."""
        return self.g.stored(self.writer.vector(name, array, made=made))

    def linear(self, x: ir.Value, matrix: Weight, name: str, *, whole: bool = False) -> ir.Value:
        """Return x W^T + b; ``whole``: W stays float32. A head that is the embedding reads the embedding's bytes."""
        written = self.writer.whole(matrix, name) if whole else self.writer.matrix(matrix, name)
        bias = None if matrix.bias is None else self.plain(f"{name}.bias", matrix.bias)
        if isinstance(written, Rounded):
            return self._in_blocks(x, written, name, bias)
        weight = self._float(self.g.stored(written), written, name)
        product = self.g.op("FusedMatMul", x, weight, name=f"{name}.product", domain=CONTRIB, transB=1)
        return product if bias is None else self.g.op("Add", product, bias, name=f"{name}.sum")

    def gather(self, ids: ir.Value, matrix: Weight, name: str) -> ir.Value:
        """Return the rows of ``ids``."""
        written = self.writer.matrix(matrix, name)
        if not isinstance(written, Rounded):
            return self._float(self.g.op("Gather", self.g.stored(written), ids, name=name, axis=0), written, name)
        rows = self._written_out(ids, written, name) if GATHER in self.denied else self._rows(ids, written, name)
        return rows if written.padded == written.shape[1] else self._cut(rows, written.shape[1], name)

    def rounded_members(self, written: Rounded, matrix: Weight, count: int) -> tuple[ir.Value, ir.Value]:
        """Return values and scales of ``count`` matrices below each other, each by its number."""
        name, (rows, width) = matrix.name, (written.shape[0] // count, written.shape[1])
        values = (count, rows, width * written.bits // 8)
        stored = self.writer.store.again(written.values, f"{name}.members", values)
        scales = self.writer.store.again(written.scale, f"{name}.scale_half", (count, rows, width // written.size))
        return self.g.stored(stored), self._cast(self.g.stored(scales), f"{name}.scale")

    def float_members(self, written: ir.ExternalTensor, matrix: Weight, count: int) -> ir.Value:
        """Return ``count`` matrices below each other, each by its number, float32."""
        shape = (count, matrix.shape[0] // count, matrix.shape[1])
        stored = self.writer.store.again(written, f"{matrix.name}.members", shape)
        return self._float(self.g.stored(stored), written, matrix.name)

    def member(self, x: ir.Value, written: Rounded | ir.ExternalTensor, count: int, place: int, name: str) -> ir.Value:
        """Return x W^T of the ``place``-th of ``count`` matrices below each other."""
        part = self.writer.store.part
        if isinstance(written, Rounded):
            rows = written.shape[0] // count
            _, blocks, size = written.values.shape
            values = part(written.values, f"{name}.q{written.bits}", (rows, int(blocks), int(size)), place)
            scale = part(written.scale, f"{name}.scale", (rows, int(blocks)), place)
            return self._in_blocks(
                x, replace(written, values=values, scale=scale, shape=(rows, written.shape[1])), name
            )
        rows, width = int(written.shape[0]) // count, int(written.shape[1])
        stored = part(written, f"{name}.weight", (rows, width), place)
        weight = self._float(self.g.stored(stored), stored, name)
        return self.g.op("FusedMatMul", x, weight, name=f"{name}.product", domain=CONTRIB, transB=1)

    def _in_blocks(self, x: ir.Value, written: Rounded, name: str, bias: ir.Value | None = None) -> ir.Value:
        inputs = [self.g.stored(written.values), self._cast(self.g.stored(written.scale), f"{name}.scale")]
        inputs += [None, None, bias] if bias is not None else []
        return self.g.op(
            "MatMulNBits", x, *inputs, name=f"{name}.product", domain=CONTRIB, K=written.shape[1],
            N=written.shape[0], bits=written.bits, block_size=written.size, accuracy_level=_ACCURACY_LEVEL,
        )  # fmt: skip

    def _rows(self, ids: ir.Value, written: Rounded, name: str) -> ir.Value:
        flat = (written.shape[0], written.padded * written.bits // 8)
        rows = self.g.op(
            GATHER,
            self.g.stored(self.writer.store.again(written.values, f"{name}.rows", flat)),
            ids,
            self.g.stored(written.scale),
            name=name, domain=CONTRIB, bits=written.bits, block_size=written.size, gather_axis=0, quantize_axis=1,
        )  # fmt: skip
        return self._cast(rows, name)

    def _written_out(self, ids: ir.Value, written: Rounded, name: str) -> ir.Value:
        """Return the same bytes, in the operators of plain.py."""
        g, scales = self.g, (*written.scale.shape, 1, 1)
        bytes_ = g.op("Gather", g.stored(written.values), ids, name=f"{name}.bytes", axis=0)
        places = g.op("Cast", bytes_, name=f"{name}.places", to=ir.DataType.INT32)
        table = g.constant(f"codes_of_{written.bits}_bits", codes(written.bits))
        integers = g.op("Gather", table, places, name=f"{name}.integers", axis=0)
        stored = g.stored(self.writer.store.again(written.scale, f"{name}.scale_of_rows", scales))
        scale = self._cast(g.op("Gather", stored, ids, name=f"{name}.scale_half", axis=0), f"{name}.scale_of_block")
        blocks = g.op("Mul", integers, scale, name=f"{name}.blocks")
        return g.op("Reshape", blocks, g.constant("joined", np.array([0, 0, -1], np.int64)), name=name)

    def _float(self, value: ir.Value, written: ir.ExternalTensor, name: str) -> ir.Value:
        return self._cast(value, name) if written.dtype == ir.DataType.FLOAT16 else value

    def _cast(self, value: ir.Value, name: str) -> ir.Value:
        """Cast to float32. Runtimes do it once, when they load the model, where the value is a constant."""
        return self.g.op("Cast", value, name=f"{name}.float", to=ir.DataType.FLOAT)

    def _cut(self, rows: ir.Value, width: int, name: str) -> ir.Value:
        """Cut off the zeros that fill up the last block."""
        start, axis = self.g.constant("from_0", np.array([0])), self.g.constant("axis_last", np.array([-1]))
        end = self.g.constant(f"to_{width}", np.array([width]))
        return self.g.op("Slice", rows, start, end, axis, name=f"{name}.cut")
