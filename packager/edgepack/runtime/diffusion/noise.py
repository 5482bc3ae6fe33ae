"""Noise from a seed: what torch's generator on the CPU, or NumPy's, gives for it, in the order of diffusers' draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from edgepack.arrays import Array
from edgepack.runtime.diffusion import _cephes

Normal = Callable[[tuple[int, ...]], Array]  # a shape -> float32 of that shape, of mean zero and variance one
Generator = Literal["torch", "numpy"]
_BLOCK = 16  # values that torch makes of as many uniform ones at once
_BITS_24 = np.uint32((1 << 24) - 1)
_BITS_53 = (1 << 53) - 1
_TWO_PI = np.float32(2 * math.pi)
_SEEDS = 1 << 32  # torch's Mersenne Twister begins with the lower half of a seed


class Draws:
    """Draws for a batch: from one generator for all of it, or with several seeds from one for each image.

    A seed is a whole number from 0 to 2^63 - 1.
    """

    def __init__(self, seed: int | Sequence[int], generator: Generator = "torch") -> None:
        kind = Torch if generator == "torch" else Numpy
        self.one_each = not isinstance(seed, int)
        self._generators = [kind(one) for one in ([seed] if isinstance(seed, int) else seed)]

    def __call__(self, shape: tuple[int, ...]) -> Array:
        """Return float32 of ``shape``, whose first axis is the batch."""
        if not self.one_each:
            return self.first(shape)
        return np.concatenate([one((1, *shape[1:])) for one in self._generators])

    def first(self, shape: tuple[int, ...]) -> Array:
        """Return float32 of ``shape`` from the first generator alone, whatever the batch."""
        return self._generators[0](shape)


class Numpy:
    """Draws of ``numpy.random.RandomState``, made float32."""

    def __init__(self, seed: int) -> None:
        self._state = np.random.RandomState(seed % _SEEDS)

    def __call__(self, shape: tuple[int, ...]) -> Array:
        """Return float32 of ``shape``."""
        return np.asarray(self._state.standard_normal(shape), np.float32)


class Torch:
    """Draws of ``torch.randn`` with ``torch.Generator("cpu").manual_seed(seed)``: to the last bit where the processor
    has AVX2, elsewhere torch's own logarithms, sines and cosines may differ from these in the last bit.
    """

    def __init__(self, seed: int) -> None:
        self._state = np.random.RandomState(seed % _SEEDS)
        self._kept: float | None = None  # the second value of a pair, for the next draw of less than a block

    def __call__(self, shape: tuple[int, ...]) -> Array:
        """Return float32 of ``shape``."""
        size = math.prod(shape)
        if size < _BLOCK:
            return np.array([self._single() for _ in range(size)], np.float32).reshape(shape)
        uniform = self._uniform(size)
        whole = size // _BLOCK * _BLOCK
        made = np.empty(size, np.float32)
        made[:whole] = _of_blocks(uniform[:whole])
        if whole < size:  # the last block is drawn again, over the end of the one before
            made[-_BLOCK:] = _of_blocks(self._uniform(_BLOCK))
        return made.reshape(shape)

    def _uniform(self, size: int) -> Array:
        """Return float32 [size] from 0 to 1, without 1."""
        bits = self._state.randint(0, 1 << 32, size=size, dtype=np.uint32)
        return np.asarray((bits & _BITS_24).astype(np.float32) * np.float32(2**-24))

    def _single(self) -> float:
        """Return a value by itself, in float64 (Box and Muller)."""
        if self._kept is not None:
            kept, self._kept = self._kept, None
            return kept
        angle, length = self._wide(), self._wide()
        radius, turned = math.sqrt(-2 * math.log1p(-length)), 2 * math.pi * angle
        self._kept = radius * math.sin(turned)
        return radius * math.cos(turned)

    def _wide(self) -> float:
        """Return a number from 0 to 1, without 1, of 53 bits."""
        high, low = self._state.randint(0, 1 << 32, size=2, dtype=np.uint32)
        return float((int(high) << 32 | int(low)) & _BITS_53) * 2.0**-53


def _of_blocks(uniform: Array) -> Array:
    """Return normal values of uniform ones, float32 [n * 16]: half of a block are lengths, half angles."""
    blocks = uniform.reshape(-1, _BLOCK)
    half = _BLOCK // 2
    radius = np.sqrt(np.float32(-2) * _cephes.log(np.float32(1) - blocks[:, :half]))
    sine, cosine = _cephes.sincos(_TWO_PI * blocks[:, half:])
    return np.asarray(np.concatenate([radius * cosine, radius * sine], axis=1).ravel())
