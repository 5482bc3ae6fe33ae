"""The external data of an ONNX file, written once from front to back, a piece at a time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import onnx_ir as ir

from edgepack.arrays import Array

_PAGE, _LINE = 4096, 64  # bytes; runtimes map a large tensor where it begins with a page
_LARGE = 1 << 16


class Store:
    """``add`` appends a tensor to ``file`` and gives what the graph refers to it by."""

    def __init__(self, file: Path) -> None:
        self.file, self._stream = file, file.open("wb")
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def add(self, name: str, shape: tuple[int, ...], dtype: ir.DataType, pieces: Iterable[Array]) -> ir.ExternalTensor:
        """Return ``pieces`` one after the other; each is written before the next is asked for."""
        gap = -self._end % (_PAGE if math.prod(shape) * dtype.itemsize >= _LARGE else _LINE)
        self._stream.write(b"\0" * gap)
        start = self._end + gap
        self._end = start
        for piece in pieces:
            self._end += self._stream.write(np.ascontiguousarray(piece).data)
        return self._tensor(name, shape, dtype, start, self._end - start)

    def again(self, stored: ir.ExternalTensor, name: str, shape: tuple[int, ...]) -> ir.ExternalTensor:
        """Return the same bytes under another name and shape."""
        return self.part(stored, name, shape, 0)

    def part(self, stored: ir.ExternalTensor, name: str, shape: tuple[int, ...], place: int) -> ir.ExternalTensor:
        """Return the ``place``-th of the tensors of ``shape`` that ``stored`` holds one after the other."""
        assert stored.offset is not None
        length = int(math.prod(shape) * stored.dtype.itemsize)
        return self._tensor(name, shape, stored.dtype, stored.offset + place * length, length)

    def _tensor(
        self, name: str, shape: tuple[int, ...], dtype: ir.DataType, offset: int, length: int
    ) -> ir.ExternalTensor:
        return ir.ExternalTensor(
            self.file.name, offset, length, dtype, shape=ir.Shape(shape), name=name, base_dir=self.file.parent
        )
