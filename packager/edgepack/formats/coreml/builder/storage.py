"""How a recipe stores a weight, known from its shape alone: the tensors in the file, and the room that they take."""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.formats.coreml.builder import store
from edgepack.formats.coreml.export.compressed import divisor
from edgepack.quantization.rounding import block_size, block_sizes
from edgepack.records import FINER, Recipe

Tensor = tuple[str, tuple[int, ...]]  # the file's type, and a shape


@dataclass(frozen=True)
class StorageLayout:
    """A matrix as floats, as integers with scales, or as indices with tables."""

    kind: str  # floats | scales | tables
    bits: int
    group: int  # weights of a row that share a scale; rows that share a table
    values: Tensor  # [rows, width], the width filled up to whole groups of a row
    scales_or_lut: Tensor | None = None  # scales float16 [rows, groups]; tables float16 [groups, 1, 2 ** bits, 1]

    @property
    def room(self) -> int:
        """Bytes of the weight file."""
        return store.room(*self.values) + (store.room(*self.scales_or_lut) if self.scales_or_lut else 0)


def layout(shape: tuple[int, int], role: str, recipe: Recipe, *, tied: bool) -> StorageLayout:
    """Return the encoding of a matrix [rows, width] that is an embedding, positions, qkv, o_proj, gate_up, down or
    head.

    ``tied``: the embedding is the head too, so it is kept as fine as one.
    """
    bits = recipe.bits("head" if role == "embedding" and tied else role)
    if bits > FINER:
        return StorageLayout("floats", bits, 0, ("float16", shape))
    if recipe.scheme == "palette" and bits < FINER:
        return _tables(shape, bits, recipe)
    return _scales(shape, bits, recipe)


def _scales(shape: tuple[int, int], bits: int, recipe: Recipe) -> StorageLayout:
    rows, width = shape
    size = _block_size(width, bits, recipe)
    count = -(-width // size)
    return StorageLayout("scales", bits, size, (f"int{bits}", (rows, count * size)), ("float16", (rows, count)))


def _tables(shape: tuple[int, int], bits: int, recipe: Recipe) -> StorageLayout:
    rows, width = shape
    size = divisor(rows, recipe.block_size or rows)
    size = rows if size * width * bits % 8 else size  # groups that shared a byte could not be written apart
    return StorageLayout("tables", bits, size, (f"uint{bits}", shape), ("float16", (rows // size, 1, 1 << bits, 1)))


def _block_size(width: int, bits: int, recipe: Recipe) -> int:
    """Return the recipe's or a half of it that divides ``width``; else what stores a row in the fewest bytes, filled
    up.

    A recipe without one, and one that has other forms for other parts, has a scale per row.
    """
    most = recipe.block_size if recipe.scheme == "blocks" else 0
    if not most:
        return width + width % (8 // bits)  # rows begin with a byte
    exact = [size for size in block_sizes(most) if width % size == 0]
    return exact[0] if exact else block_size(width, most, bits)
