"""Forms that a search may choose for a weight: how it is encoded, and the bytes that it takes then.

The bytes follow from the shape alone, so that a search encodes nothing but what it measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from edgepack.formats.coreml.export import encoders
from edgepack.formats.coreml.export.compressed import Encoding, divisor
from edgepack.formats.coreml.export.weight import CalibratedWeight
from edgepack.records import FINER

_HALF = 2  # bytes
_BLOCK, _GROUP = 32, 16


@dataclass(frozen=True)
class Form:
    """Integers by ``channels`` or in ``blocks`` of ``size``, or a ``palette`` for each ``size`` rows (0: for all)."""

    kind: str
    bits: int
    size: int = 0

    def encode(self, weight: CalibratedWeight) -> Encoding:
        """Return ``weight`` in this form."""
        if self.kind == "channels":
            return encoders.per_channel(weight.value)
        if self.kind == "blocks":
            return weight.blocks(self.bits, self.size)
        return weight.palette(self.bits, self.size)

    def bytes(self, shape: tuple[int, ...]) -> int:
        """Return what a weight of ``shape`` takes in this form, as the encoding says."""
        rows, width = shape[0], prod(shape[1:])
        values = -(-rows * width * self.bits // 8)
        if self.kind == "channels":
            return values + rows * _HALF
        if self.kind == "blocks":
            return values + rows * (width // encoders.block(shape, self.size)) * _HALF
        groups = rows // divisor(rows, self.size) if self.size else 1
        return values + groups * (1 << self.bits) * _HALF


CHANNELS = Form("channels", FINER)
EVERYWHERE = (CHANNELS, Form("palette", FINER), Form("palette", 6), Form("palette", 4))  # from iOS 16 on
NEWEST = (
    *(Form("palette", bits, _GROUP) for bits in (6, 4, 3)),
    *(Form("blocks", bits, _BLOCK) for bits in (FINER, 4)),
)  # from iOS 18 on
