"""Weights of experts as one matrix: each a part of a tensor that holds all, or one of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgepack import weights
from edgepack.arrays import Array
from edgepack.decoders.matrix import Weight, finite
from edgepack.errors import UnsupportedModel
from edgepack.weights import Stored

# The values of FP4 (E2M1) by code: OCP Microscaling Formats 1.0, section 5.3.3
_FP4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
_BIAS = 127  # of a block's exponent (E8M0)


@dataclass(frozen=True)
class Stack:
    """Matrices of one shape below each other, [members * rows, width]."""

    name: str
    members: Sequence[Weight]
    bias: Array | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows of all, and the width that they share."""
        rows, width = self.members[0].shape
        return len(self.members) * rows, width

    def rows(self, start: int, stop: int) -> Array:
        """Return float32 [stop - start, width]. Raises DamagedWeights where a number is not finite."""
        each = self.members[0].shape[0]
        pieces = [
            self.members[place].rows(max(start - place * each, 0), min(stop - place * each, each))
            for place in range(start // each, -(-stop // each))
        ]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


@dataclass(frozen=True)
class SideBySide:
    """Matrices of one shape beside each other, [rows, members * width]."""

    name: str
    members: Sequence[Weight]
    bias: Array | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """The rows that they share, and the width of all."""
        rows, width = self.members[0].shape
        return rows, len(self.members) * width

    def rows(self, start: int, stop: int) -> Array:
        """Return float32 [stop - start, width]. Raises DamagedWeights where a number is not finite."""
        return np.concatenate([member.rows(start, stop) for member in self.members], axis=1)


@dataclass(frozen=True)
class Mxfp4:
    """A matrix in MXFP4: blocks of 32 values of 4 bits that share a power of two (OCP Microscaling Formats 1.0)."""

    name: str
    blocks: Stored  # uint8 [rows, width / 32, 16]: two codes in a byte, the first in the low half
    scales: Stored  # uint8 [rows, width / 32]
    bias: Array | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and width of the values."""
        rows, blocks, size = self.blocks.shape
        return rows, blocks * size * 2

    def rows(self, start: int, stop: int) -> Array:
        """Return float32 [stop - start, width]. Raises DamagedWeights where a scale stands for NaN."""
        codes = weights.read_bytes(self.blocks, slice(start, stop))
        exponents = weights.read_bytes(self.scales, slice(start, stop)).astype(np.int32)
        values = np.stack([_FP4[codes & 15], _FP4[codes >> 4]], axis=-1)  # [rows, blocks, 16, 2]
        scaled = np.ldexp(values, (exponents - _BIAS)[..., None, None])
        scaled[exponents == 2 * _BIAS + 1] = np.nan
        return finite(scaled.reshape(stop - start, -1), self.name)


def member(stored: Stored, expert: int) -> Stored:
    """Return the part of a tensor [experts, …] that is one expert's. Raises UnsupportedModel for an adapted one."""
    if stored.delta is not None:
        raise UnsupportedModel(
            f"the adapter changes {stored.name!r}, which holds all experts of a layer",
            hint="merge it with PEFT, and build the merged model",
        )
    own = replace(stored, shape=stored.shape[1:])
    return replace(own, offset=stored.offset + expert * own.bytes)
