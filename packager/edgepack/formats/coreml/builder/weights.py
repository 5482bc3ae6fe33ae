"""The operations that use a decoder's weights: products, table look-ups and the constants beside them.

A constant of the program is a placeholder, one zero that seems to have the tensor's shape; ``blobs`` says by its name
where the file holds the values. Functions of one program have the same names for the same values.
"""

from __future__ import annotations

import numpy as np
from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  (as everybody calls it)
from coremltools.converters.mil.mil import types

from edgepack.arrays import Array
from edgepack.decoders.matrix import Weight
from edgepack.formats.coreml._mil import Var
from edgepack.formats.coreml.builder.store import Blob
from edgepack.formats.coreml.builder.writer import Writer, Written


class Weights:
    """Writes each weight and gives what a function of the program makes of it."""

    def __init__(self, writer: Writer, blobs: dict[str, Blob]) -> None:
        self.writer, self.blobs = writer, blobs
        self._plain: dict[str, Var] = {}
        self._matrices: dict[str, tuple[Written, Var]] = {}

    def plain(self, name: str, array: Array, *, made: bool = False) -> Var:
        """Return a vector or a table that was ``made``; the same name is there once."""
        if name not in self._plain:
            self._plain[name] = self._constant(name, self.writer.vector(name, array, made=made))
        return self._plain[name]

    def linear(self, x: Var, matrix: Weight, name: str) -> Var:
        """Return x W^T + b in float16. A head that is the embedding reads the embedding's bytes."""
        written, weight = self._matrix(matrix, name)
        more = written.values.shape[1] - matrix.shape[1]
        if more:
            x = mb.pad(x=x, pad=[0, 0, 0, more], constant_val=np.float16(0), name=label(f"{name}.padded"))
        if matrix.bias is None:  # the operator has one; all of a width share it
            bias = self.plain(f"zeros.{matrix.shape[0]}", np.zeros(matrix.shape[0], np.float16), made=True)
        else:
            bias = self.plain(f"{name}.bias", matrix.bias.astype(np.float16))
        return mb.linear(x=x, weight=weight, bias=bias, name=label(name))

    def gather(self, ids: Var, matrix: Weight, name: str) -> Var:
        """Return the rows of ``ids``, float16 [*ids, width]."""
        written, table = self._matrix(matrix, name)
        rows = mb.gather(x=table, indices=ids, axis=0, name=label(f"{name}.rows"))
        if written.values.shape[1] == matrix.shape[1]:
            return rows
        sizes = [matrix.shape[1], written.values.shape[1] - matrix.shape[1]]
        return mb.split(x=rows, split_sizes=sizes, axis=-1, name=label(f"{name}.cut"))[0]

    def _matrix(self, matrix: Weight, name: str) -> tuple[Written, Var]:
        if matrix.name not in self._matrices:
            written = self.writer.matrix(matrix, name)
            self._matrices[matrix.name] = written, self._restored(written, name)
        return self._matrices[matrix.name]

    def _restored(self, written: Written, name: str) -> Var:
        """Return the weight as float16, which Core ML restores when it loads the model or multiplies by it."""
        values = self._constant(f"{name}.values", written.values)
        if written.scales_or_lut is None:
            return values
        scales_or_lut = self._constant(f"{name}.{written.layout.kind}", written.scales_or_lut)
        name = label(f"{name}.weight")
        if written.layout.kind == "tables":
            return mb.constexpr_lut_to_dense(indices=values, lut=scales_or_lut, name=name)
        return mb.constexpr_blockwise_shift_scale(data=values, scale=scales_or_lut, name=name)

    def _constant(self, name: str, blob: Blob) -> Var:
        kind = types.nptype_from_builtin(types.string_to_builtin(_BUILTIN.get(blob.kind, blob.kind)))
        found = mb.const(val=np.broadcast_to(np.zeros((), kind), blob.shape), name=label(name))
        self.blobs[found.name] = blob
        return found


_BUILTIN = {"float16": "fp16", "float32": "fp32"}


def label(name: str) -> str:
    """Return ``name`` as Core ML takes it: an identifier."""
    return name.replace(".", "_")
