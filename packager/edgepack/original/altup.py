"""Alternating updates in numpy, on residuals float32 [batch, tokens, count, hidden]."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgepack.arrays import Array
from edgepack.decoders.altup import LEAST
from edgepack.decoders.altup_weights import AltUpWeights
from edgepack.decoders.matrix import Weight

Product = Callable[[Array, Weight], Array]


def entered(x: Array, weights: AltUpWeights, product: Product) -> Array:
    """Return the residuals that the first layer reads, of what is embedded, [batch, tokens, hidden]."""
    made = product(x, weights.enter()).reshape(*x.shape[:2], -1, x.shape[-1])
    return np.concatenate([x[:, :, None], _as_long(made, x)], axis=2)


def left(x: Array, weights: AltUpWeights, product: Product) -> Array:
    """Return what the final norm reads, [batch, tokens, hidden]: the mean of the residuals."""
    made = [product(x[:, :, place], matrix) for place, matrix in enumerate(weights.leave(), 1)]
    first = x[:, :, 0]
    return np.asarray(np.concatenate([first[:, :, None], _as_long(np.stack(made, axis=2), first)], axis=2).mean(axis=2))


def predicted(x: Array, shares: Array, layer: int, weights: AltUpWeights, product: Product) -> Array:
    """Return the residuals as a layer expects them; ``shares`` [batch, tokens, count] are those of the active one."""
    count = weights.altup.count
    found = product(shares, weights.prediction(layer)).reshape(*shares.shape[:2], count, count)
    return np.asarray(found @ x + x)


def corrected(x: Array, made: Array, shares: Array, layer: int, weights: AltUpWeights, product: Product) -> Array:
    """Return the predictions ``x`` moved by what the layer ``made`` of the active one; ``shares`` are of the latter."""
    found = product(shares, weights.correction(layer)) + np.float32(1)
    return np.asarray(x + (made - x[:, :, weights.altup.active])[:, :, None] * found[..., None])


def _as_long(x: Array, first: Array) -> Array:
    """Return each of the residuals ``x`` [batch, tokens, residuals, hidden] as long as ``first``."""
    wanted = np.sqrt((first * first).mean(axis=-1))[:, :, None, None]
    return np.asarray(x * wanted / np.sqrt(np.maximum((x * x).mean(axis=-1, keepdims=True), np.float32(LEAST))))
