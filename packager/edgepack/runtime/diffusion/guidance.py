"""Guidance: how much more a prediction follows the prompt than it would by itself."""

from __future__ import annotations

import numpy as np

from edgepack.arrays import Array

STRONGEST = 1_000_000  # far beyond any use, which float32 has no trouble with
_ONE = np.float32(1)


def guided(without: Array, prompted: Array, scale: float, rescale: float = 0.0) -> Array:
    """Return the prediction of classifier-free guidance, float32 [batch, channels, height, width].

    ``rescale`` brings its deviation that far back to that of ``prompted`` (arXiv 2305.08891, section 3.4).
    """
    made = without + np.float32(scale) * (prompted - without)
    if rescale > 0:
        axes = tuple(range(1, made.ndim))
        ratio = prompted.std(axes, keepdims=True, ddof=1) / made.std(axes, keepdims=True, ddof=1)
        made = np.float32(rescale) * (made * ratio) + np.float32(1 - rescale) * made
    return np.asarray(made)


def embedded(guidance: float, width: int, batch: int) -> Array:
    """Return what a UNet with timestep_cond is told of the guidance, float32 [batch, width]."""
    half = width // 2
    distance = np.log(np.float32(10_000)) / np.float32(half - 1)
    frequencies = np.exp(np.arange(half, dtype=np.float32) * -distance)
    angles = np.float32(guidance - 1) * np.float32(1000) * frequencies
    made = np.concatenate([np.sin(angles), np.cos(angles), np.zeros(width % 2, np.float32)])
    return np.tile(made, (batch, 1))
