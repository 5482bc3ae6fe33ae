"""How to prepare an activation for rounding to 8 bits, chosen by the noise that each way leaves in the product.

Dynamic quantization rounds a whole activation with one scale, so a single outlier channel or token costs all others
their precision. Two remedies: divide the channels by constants that go into the weights (SmoothQuant, Xiao et al.
2023), and divide each token by its own largest value, given back after the product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepack.arrays import Array

_ALPHAS = (0.5, 0.6, 0.7, 0.8)
_FLOOR = 0.02  # of the largest channel: one that was small in the samples may be an outlier in other inputs
# What a remedy must divide the noise by to be worth its time: one product, or a reduction and two products.
_CHANNELS_PRICE, _TOKENS_PRICE = 1.25, 1.6
_ROWS = 256  # of the samples: the noise is a mean over them


@dataclass(frozen=True, kw_only=True)
class Balance:
    """The remedies for one activation."""

    channels: Array | None = None  # float32 [k]: the activation is divided by these, the weight's rows multiplied
    tokens: bool = False  # each token is divided by its largest absolute value


def choose(rows: Array, weight: Array) -> Balance:
    """Return the balance for an activation with the sample ``rows`` [n, k] that meets ``weight`` [k, n]."""
    rows = rows[:: -(-len(rows) // _ROWS)]
    scales = [None, *(_channels(rows, weight, alpha) for alpha in _ALPHAS)]
    candidates = [Balance(channels=s, tokens=tokens) for s in scales for tokens in (False, True)]
    return min(candidates, key=lambda balance: _noise(rows, weight, balance) * _price(balance))


def _channels(rows: Array, weight: Array, alpha: float) -> Array:
    """Return SmoothQuant's s = max|x|^a / max|w|^(1-a) per channel, with a geometric mean of 1."""
    loud = np.abs(rows).max(axis=0)
    loud = np.maximum(loud, max(_FLOOR * float(loud.max()), 1e-5))
    heavy = np.maximum(np.abs(weight).max(axis=1), 1e-5)
    logs = alpha * np.log(loud) - (1 - alpha) * np.log(heavy)
    return np.asarray(np.exp(logs - logs.mean()), np.float32)


def _price(balance: Balance) -> float:
    return (1.0 if balance.channels is None else _CHANNELS_PRICE) * (_TOKENS_PRICE if balance.tokens else 1.0)


def _noise(rows: Array, weight: Array, balance: Balance) -> float:
    """Return the expected squared error of the product, from rounding either side, the channels' errors independent."""
    if balance.channels is not None:
        rows, weight = rows / balance.channels, weight * balance.channels[:, None]
    sizes = np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-9) if balance.tokens else np.float32(1)
    unit = rows / sizes
    low, high = min(float(unit.min()), 0.0), max(float(unit.max()), 0.0)
    step = max(high - low, 1e-9) / 255
    error = (np.round(unit / step) * step - unit) * sizes
    of_activations = float((error * error).sum(axis=0) @ np.einsum("kn,kn->k", weight, weight))
    steps = np.maximum(weight.max(axis=0), -weight.min(axis=0)) / 127
    return of_activations + float((rows * rows).sum() * (steps * steps).sum() / 12)
