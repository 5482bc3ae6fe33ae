"""Round weights and activations to few bits: per channel, in blocks along k, or a whole tensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepack.arrays import Array
from edgepack.errors import ConversionError

_TINY = 1e-12  # keeps the scale of an all-zero channel from dividing by zero
# How far below and above the plain scale is searched, in steps that resolve the error's minimum at 4 bits.
_SEARCH = np.linspace(0.78, 1.1, 9, dtype=np.float32)
_SUM = 2**15 - 1  # the largest sum of two products in 16 bits
_SMALLEST = 16  # block of a language model's weight


def float16(values: Array) -> Array:
    """Return ``values`` as float16. Raises ConversionError for what it cannot hold."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    if not np.isfinite(half).all():
        raise ConversionError(
            f"a weight or scale of {np.abs(values).max():.3g} is more than float16 holds, 65,504",
            hint="the recipe fp32 stores weights as they are; and check that these are trained weights",
        )
    return half


@dataclass(frozen=True)
class Channels:
    """int8 ``values`` [k, n] with a float32 ``scale`` per output channel [n]."""

    values: Array
    scale: Array

    def restored(self) -> Array:
        """Return float32 [k, n]."""
        return self.values * self.scale


def per_channel(weight: Array, largest: int = 255) -> Channels:
    """Return symmetric int8 with one scale per output channel, such that no processor saturates.

    x86 without VNNI multiplies u8 activations, up to ``largest``, by s8 weights in pairs of neighbouring k and adds the
    two products in 16 bits, saturating (vpmaddubsw); Arm and VNNI add in 32. With |w0| + |w1| <= 128 for neighbours of
    one sign, 255 (|w0| + |w1|) <= 32640 < 32767, so that all of them compute the same. Seven-bit weights would do it
    too, and cost more: here only a channel whose large weights are neighbours is made coarser. Seven-bit activations
    leave room for every pair.
    """
    even, odd = weight[0::2], weight[1::2]
    if len(even) > len(odd):
        odd = np.concatenate([odd, np.zeros((1, weight.shape[1]), weight.dtype)])
    together = np.where(np.sign(even) == np.sign(odd), np.abs(even) + np.abs(odd), 0.0).max(axis=0)
    scale = np.maximum(
        np.abs(weight).max(axis=0) / 127, together / (_SUM // largest - 1)
    )  # - 1, for rounding may add 1 to a pair
    scale = np.maximum(scale, _TINY).astype(np.float32)
    return Channels(np.clip(np.round(weight / scale), -127, 127).astype(np.int8), scale)


def blockwise(rows: Array, size: int) -> Array:
    """Return what an activation [n, k] becomes inside MatMulNBits with accuracy_level 4: s8, a scale per row and
    block.
    """
    padded = _padded(rows, size)
    blocks = padded.reshape(len(rows), -1, size)
    scale = np.maximum(np.abs(blocks).max(axis=2, keepdims=True) / 127, _TINY)
    return np.asarray((np.round(blocks / scale) * scale).reshape(len(rows), -1)[:, : rows.shape[1]], np.float32)


@dataclass(frozen=True)
class Blocks:
    """Unsigned ``values`` [rows, blocks, size] with zero at the middle, and a ``scale`` [rows, blocks]."""

    values: Array
    scale: Array
    bits: int
    width: int  # of the original rows, before padding to whole blocks

    def restored(self) -> Array:
        """Return float32 [rows, width]."""
        centred = self.values.astype(np.float32) - (1 << (self.bits - 1))
        return np.asarray((centred * self.scale[..., None]).reshape(len(self.values), -1)[:, : self.width])

    def packed(self) -> Array:
        """Return uint8 [rows, blocks, size * bits / 8]; two 4-bit values share a byte, the first in the low half."""
        if self.bits == 8:
            return self.values
        pairs = np.ascontiguousarray(self.values).view("<u2")  # the first value is the lower byte
        return np.asarray((pairs | (pairs >> 4)).astype(np.uint8))


def blocks(matrix: Array, bits: int, size: int, importance: Array | None = None) -> Blocks:
    """Return symmetric blocks of ``size`` along the rows of ``matrix`` [rows, width]; a last short block is padded with
    zeros.

    At 4 bits the scale is searched, and then fitted by least squares for the chosen integers, weighted by
    ``importance`` [width] (the mean square of the activation that meets the weight); at 8 bits that gains nothing.
    """
    half = 1 << (bits - 1)
    padded = _padded(matrix, size).reshape(len(matrix), -1, size)
    extreme = np.take_along_axis(padded, np.abs(padded).argmax(axis=2)[..., None], axis=2)[..., 0]
    if bits == 8:
        scale = np.maximum(np.abs(extreme) / (half - 1), _TINY).astype(np.float32)
        centred = np.round(padded / scale[..., None])
    else:
        # the extreme takes the one value that the other side does not have: -8
        scale = np.where(np.abs(extreme) < _TINY, _TINY, extreme / -half).astype(np.float32)
        weights = _padded(importance[None, :], size).reshape(1, -1, size) if importance is not None else None
        centred, scale = _searched(padded, scale, half, weights)
    return Blocks((centred + half).astype(np.uint8), scale, bits, matrix.shape[1])


def _searched(padded: Array, plain: Array, half: int, weights: Array | None) -> tuple[Array, Array]:
    """Return integers and scales of least squared error.

    For given integers q the best scale is sum x q / sum q^2, and leaves the error sum x^2 - (sum x q)^2 / sum q^2: the
    largest second term wins.
    """
    weighted = padded if weights is None else padded * weights
    centred = np.empty_like(padded)

    def fit(tried: Array) -> tuple[Array, Array]:
        np.divide(padded, tried[..., None], out=centred)
        np.rint(centred, out=centred)
        np.clip(centred, -half, half - 1, out=centred)
        along = np.einsum("rbs,rbs->rb", weighted, centred)
        own = centred if weights is None else centred * weights
        return along, np.maximum(np.einsum("rbs,rbs->rb", own, centred), _TINY)

    best, most = plain, np.full(plain.shape, -1.0, np.float32)
    for factor in _SEARCH:
        along, norm = fit(plain * factor)
        gain = along * along / norm
        better = gain > most
        most, best = np.where(better, gain, most), np.where(better, plain * factor, best)
    along, norm = fit(best)
    return centred, np.where(along != 0, along / norm, best).astype(np.float32)


def _padded(matrix: Array, size: int) -> Array:
    short = -matrix.shape[1] % size
    return np.pad(matrix, ((0, 0), (0, short))) if short else matrix


def block_size(width: int, most: int, bits: int) -> int:
    """Choose the block size that stores a row of ``width`` in the fewest bytes; the largest of those alike."""
    return min(block_sizes(most), key=lambda size: -(-width // size) * (size * bits // 8 + 2))


def block_sizes(most: int) -> list[int]:
    """Return ``most`` and its halves, down to the smallest that is worth its scale."""
    return [most >> step for step in range(most.bit_length()) if most >> step >= _SMALLEST]
