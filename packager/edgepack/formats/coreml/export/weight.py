"""A weight with what calibration tells of it, on its way into an encoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from edgepack.arrays import Array
from edgepack.formats.coreml.export import encoders
from edgepack.formats.coreml.export.compressed import Affine, DenseEncoding, Encoding, Floats, Palette
from edgepack.formats.coreml.export.sensitivity import Study
from edgepack.records import FINER

_ROWS = 16  # that share a palette
E = TypeVar("E", bound=Encoding)


@dataclass(frozen=True)
class CalibratedWeight:
    """The weight ``name``. Of what ``mask`` drops, encodings may restore anything."""

    name: str
    value: Array  # float32 [rows, ...]
    study: Study
    mask: Array | None = None  # bool [rows, width]; None: all stay

    def part(self, large: int, size: int) -> CalibratedWeight:
        """Return some of the rows, ``size`` values or so and 16 rows at least, of a weight of more than ``large``."""
        if self.value.size <= large:
            return self
        width = self.value.size // len(self.value)
        count = min(max(size // width // _ROWS, 1) * _ROWS, len(self.value))
        return replace(self, value=self.value[np.linspace(0, len(self.value) - 1, count).astype(int)])

    def kept(self, share: float) -> Array:
        """Return the mask without the ``share`` (0..1) of values that counts least."""
        return encoders.kept(self.value, share, self._importance())

    def pruned(self, mask: Array) -> CalibratedWeight:
        """Return the weight without what ``mask`` drops; the others make up for it."""
        return replace(self, value=encoders.pruned(self.value, mask, self._moments), mask=mask)

    def floats(self) -> Floats:
        """Return float16."""
        return Floats(encoders.matrix(self.value).astype(np.float16), self.value.shape)

    def int8_candidates(self) -> list[DenseEncoding]:
        """Return encodings of 8 bits that every system has."""
        return [encoders.per_channel(self.value), self.palette(FINER)]

    def blocks(self, bits: int, size: int) -> Affine:
        """Return integers in blocks."""
        if self._moments is None or self.mask is not None or bits == FINER:
            return encoders.blockwise(self.value, bits, size, self._importance())
        return encoders.compensated(self.value, bits, size, self._moments)

    def palette(self, bits: int, group: int = 0, *, integers: bool = False) -> Palette:
        """Return ``2 ** bits`` values, floats or ``integers``, for each ``group`` rows (0: for all)."""
        importance = self._importance()
        if self.mask is not None:
            importance = self.mask if importance is None else self.mask * importance
        made = (encoders.palettized_integers if integers else encoders.palettized)(self.value, bits, group, importance)
        if self._moments is None or bits == FINER:
            return made
        return encoders.fed_back(made, self.value, self._moments, self.mask)

    def best(self, encodings: Sequence[E]) -> E:
        """Return the one with the least error."""
        return min(encodings, key=lambda encoding: self.error(encoding.restored()))

    def error(self, restored: Array) -> float:
        """Return the energy that it adds to the outputs of the weight's layer."""
        difference = encoders.matrix(restored - self.value)
        return self.study.error(self.name, difference if self.mask is None else difference * self.mask)

    @property
    def _moments(self) -> Array | None:
        return self.study.moments.get(self.name)

    def _importance(self) -> Array | None:
        return self.study.importance(self.name, self.value.size // len(self.value))
