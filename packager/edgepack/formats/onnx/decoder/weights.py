"""A decoder's weights on their way into the file: read in rows, rounded, written, and counted by component."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgepack.decoders.checkpoint import Matrix
from edgepack.formats.onnx.decoder.builder import CONTRIB, Array, Builder
from edgepack.formats.onnx.decoder.store import Store
from edgepack.formats.onnx.rounding import blocks
from edgepack.records import Component, Coverage, Recipe

_ACCURACY_LEVEL = 4  # of MatMulNBits: multiply in int8, which Arm and x86 do fastest
_THREADS = 2
_VALUES = 1 << 20  # that are read at once
_PARTS = {"qkv": "attention", "out": "attention", "inner": "mlp", "down": "mlp"}
_FLOATS = {32: (ir.DataType.FLOAT, np.float32), 16: (ir.DataType.FLOAT16, np.float16)}


@dataclass(frozen=True)
class _Rounded:
    """A matrix in blocks, in the file: values as MatMulNBits takes them, one float16 scale per block."""

    values: ir.ExternalTensor
    scale: ir.ExternalTensor
    bits: int
    size: int
    shape: tuple[int, int]

    @property
    def blocks(self) -> int:
        """Of one row, the last padded with zeros."""
        return -(-self.shape[1] // self.size)


class Weights:
    """Writes weights as ``recipe`` says and gives the nodes that use them.

    ``importance`` of a layer's name is the mean square of what enters it, float32 [width], where it is known.
    """

    def __init__(
        self, builder: Builder, store: Store, recipe: Recipe, importance: Mapping[str, Array] | None = None
    ) -> None:
        self.g, self.store, self.recipe = builder, store, recipe
        self.importance = importance or {}
        self._written: dict[str, _Rounded | ir.ExternalTensor] = {}
        self._plain: dict[str, ir.Value] = {}
        self._count: dict[str, int] = defaultdict(int)
        self._bytes: dict[str, int] = defaultdict(int)
        self._compressed = 0

    @property
    def components(self) -> tuple[Component, ...]:
        """Bytes by part of the model."""
        return tuple(
            Component(name=name, parameters=self._count[name], bytes=self._bytes[name]) for name in sorted(self._bytes)
        )

    @property
    def coverage(self) -> Coverage:
        """What was rounded of all that are no vectors."""
        total = sum(count for name, count in self._count.items() if name != "other")
        return Coverage(compressed=self._compressed, total=total)

    def plain(self, name: str, array: Array) -> ir.Value:
        """A vector or table as float32; the same name is written once."""
        if name not in self._plain:
            self._plain[name] = self.g.stored(self.store.add(name, array.shape, ir.DataType.FLOAT, [array]))
            self._count["other"] += 0 if "rotary" in name or "local" in name else array.size
            self._bytes["other"] += array.nbytes
        return self._plain[name]

    def linear(self, x: ir.Value, matrix: Matrix, name: str) -> ir.Value:
        """X W^T + b."""
        written = self._write(matrix, name, self._bits(name.rsplit(".", 1)[-1]))
        bias = None if matrix.bias is None else self.plain(f"{name}.bias", matrix.bias)
        return self._product(x, written, bias, name)

    def gather(self, ids: ir.Value, matrix: Matrix, name: str) -> ir.Value:
        """The rows of ``ids``."""
        written = self._write(matrix, name, self._bits(name))
        if not isinstance(written, _Rounded):
            rows = self.g.op("Gather", self.g.stored(written), ids, name=name, axis=0)
            return self._cast(rows, name) if written.dtype == ir.DataType.FLOAT16 else rows
        padded = written.blocks * written.size
        flat = self.store.again(written.values, f"{name}.rows", (written.shape[0], padded * written.bits // 8))
        rows = self.g.op(
            "GatherBlockQuantized", self.g.stored(flat), ids, self.g.stored(written.scale),
            name=name, domain=CONTRIB, bits=written.bits, block_size=written.size, gather_axis=0, quantize_axis=1,
        )  # fmt: skip
        rows = self._cast(rows, name)
        if padded == written.shape[1]:
            return rows
        ends = [self.g.constant(f"{part}_{at}", np.array([at], np.int64)) for part, at in _cut(written.shape[1])]
        return self.g.op("Slice", rows, *ends, name=f"{name}.cut")

    def head(self, x: ir.Value, matrix: Matrix) -> ir.Value:
        """Logits; a head that is the embedding reads the embedding's bytes."""
        tied = matrix.name in self._written
        name = "embedding" if tied else "head"
        written = self._written[matrix.name] if tied else self._write(matrix, name, self._bits(name))
        bias = None if matrix.bias is None else self.plain("head.bias", matrix.bias)
        return self._product(x, written, bias, "head")

    def _bits(self, role: str) -> int:
        part = _PARTS.get(role, role)
        if self.recipe.weight_bits < 16 and (role in self.recipe.finer or part in self.recipe.finer):
            return 8
        if role == "positions":
            return max(self.recipe.embedding_bits, 8)
        return self.recipe.embedding_bits if role == "embedding" else self.recipe.weight_bits

    def _write(self, matrix: Matrix, name: str, bits: int) -> _Rounded | ir.ExternalTensor:
        role = name.rsplit(".", 1)[-1]
        part = _PARTS.get(role, role if role in ("embedding", "head") else "embedding")
        self._count[part] += matrix.shape[0] * matrix.shape[1]
        written = self._float(matrix, name, bits) if bits >= 16 else self._rounded(matrix, name, bits)
        self._written[matrix.name] = written
        if isinstance(written, _Rounded):
            self._compressed += matrix.shape[0] * matrix.shape[1]
            self._bytes[part] += written.values.nbytes + written.scale.nbytes
        else:
            self._bytes[part] += written.nbytes
        return written

    def _float(self, matrix: Matrix, name: str, bits: int) -> ir.ExternalTensor:
        kind, dtype = _FLOATS[bits]
        pieces = (matrix.rows(*part).astype(dtype, copy=False) for part in _parts(matrix))
        return self.store.add(f"{name}.weight", matrix.shape, kind, pieces)

    def _rounded(self, matrix: Matrix, name: str, bits: int) -> _Rounded:
        size = self.recipe.block_size
        importance = self.importance.get(name)
        scales: list[Array] = []

        def made(start: int, stop: int) -> tuple[Array, Array]:
            rounded = blocks(matrix.rows(start, stop), bits, size, importance)
            return rounded.packed(), rounded.scale.astype(np.float16)

        def values() -> Iterator[Array]:
            for packed, scale in _in_threads(made, matrix):
                scales.append(scale)
                yield packed

        shape = (matrix.shape[0], -(-matrix.shape[1] // size), size * bits // 8)
        stored = self.store.add(f"{name}.q{bits}", shape, ir.DataType.UINT8, values())
        scale = self.store.add(f"{name}.scale", shape[:2], ir.DataType.FLOAT16, scales)
        return _Rounded(stored, scale, bits, size, matrix.shape)

    def _product(
        self, x: ir.Value, written: _Rounded | ir.ExternalTensor, bias: ir.Value | None, name: str
    ) -> ir.Value:
        out = f"{name}.product"
        if isinstance(written, _Rounded):
            inputs = [self.g.stored(written.values), self._cast(self.g.stored(written.scale), f"{name}.scale")]
            inputs += [None, None, bias] if bias is not None else []
            return self.g.op(
                "MatMulNBits", x, *inputs, name=out, domain=CONTRIB, K=written.shape[1], N=written.shape[0],
                bits=written.bits, block_size=written.size, accuracy_level=_ACCURACY_LEVEL,
            )  # fmt: skip
        weight = self.g.stored(written)
        if written.dtype == ir.DataType.FLOAT16:
            weight = self._cast(weight, f"{name}.weight")
        product = self.g.op("FusedMatMul", x, weight, name=out, domain=CONTRIB, transB=1)
        return product if bias is None else self.g.op("Add", product, bias, name=f"{name}.sum")

    def _cast(self, value: ir.Value, name: str) -> ir.Value:
        """As float32. Runtimes do it once, when they load the model, where the value is a constant."""
        return self.g.op("Cast", value, name=f"{name}.float", to=ir.DataType.FLOAT)


def _cut(width: int) -> list[tuple[str, int]]:
    return [("start", 0), ("end", width), ("axis", -1)]


def _parts(matrix: Matrix) -> Iterator[tuple[int, int]]:
    rows = max(_VALUES // matrix.shape[1], 1)
    for start in range(0, matrix.shape[0], rows):
        yield start, min(start + rows, matrix.shape[0])


def _in_threads(step: Callable[[int, int], tuple[Array, Array]], matrix: Matrix) -> Iterator[tuple[Array, Array]]:
    """``step`` of each part of the rows, in order; a few parts at most are in memory."""
    with ThreadPoolExecutor(_THREADS) as pool:
        waiting: deque[Future[tuple[Array, Array]]] = deque()
        for start, stop in _parts(matrix):
            waiting.append(pool.submit(step, start, stop))
            if len(waiting) > _THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
