"""Linear attention in numpy: a short convolution, and the gated delta rule a token at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgepack.arrays import Array
from edgepack.decoders.linear import Linear
from edgepack.decoders.linear_weights import LinearWeights
from edgepack.decoders.matrix import Weight
from edgepack.original.activations import ACTIVATIONS, sigmoid

Product = Callable[[Array, Weight], Array]
Watch = Callable[[str, Array], None]
_SMALLEST = np.float32(1e-6)  # added to the squared length of a query or a key


def attended(x: Array, weights: LinearWeights, epsilon: float, product: Product, watch: Watch) -> Array:
    """Return the branch of ``x`` float32 [batch, tokens, hidden]; ``watch`` is told what enters its two products."""
    linear, silu, name = weights.linear, ACTIVATIONS["silu"], f"layers.{weights.layer}.linear"
    watch(f"{name}.qkv", x)
    made = product(x, weights.inputs())
    mixing, gate = made[..., : linear.mixed], made[..., linear.mixed :]
    q, k, v = np.split(silu(_mixed(mixing, weights.kernel())), (linear.keys, 2 * linear.keys), axis=-1)
    written, step = np.split(product(x, weights.rates()), 2, axis=-1)
    decay = np.exp(weights.decay() * np.logaddexp(np.float32(0), step + weights.step()))
    q, k = (_unit(_by_head(part, linear.key_heads), linear) for part in (q, k))
    found = _recurred(q, k, _by_head(v, linear.value_heads), decay, sigmoid(written))
    found = found / np.sqrt((found * found).mean(axis=-1, keepdims=True) + np.float32(epsilon)) * weights.norm()
    gated = found.reshape(gate.shape) * silu(gate)
    watch(f"{name}.out", gated)
    return product(gated, weights.out())


def _mixed(x: Array, kernel: Array) -> Array:
    """Return the latest tokens of each channel, weighed by ``kernel`` [channels, tokens]."""
    padded = np.pad(x, ((0, 0), (kernel.shape[1] - 1, 0), (0, 0)))
    return np.asarray(sum(padded[:, place : place + x.shape[1]] * weight for place, weight in enumerate(kernel.T)))


def _by_head(x: Array, heads: int) -> Array:
    return x.reshape(*x.shape[:2], heads, -1)


def _unit(x: Array, linear: Linear) -> Array:
    """Return each head of queries or keys at the length 1, for each head of values that it serves."""
    unit = x / np.sqrt((x * x).sum(axis=-1, keepdims=True) + _SMALLEST)
    return np.repeat(unit, linear.value_heads // linear.key_heads, axis=2)


def _recurred(q: Array, k: Array, v: Array, decay: Array, written: Array) -> Array:
    """Return S' q of each token, [batch, tokens, heads, value head], where S becomes a S + b k (v - a S' k)' (Yang et
    al. 2024, equation 10).

    ``decay`` a and ``written`` b are [batch, tokens, heads].
    """
    batch, tokens, heads, width = k.shape
    state, found = np.zeros((batch, heads, width, v.shape[-1]), np.float32), np.empty_like(v)
    q = q * np.float32(width**-0.5)
    for token in range(tokens):
        state *= decay[:, token, :, None, None]
        key = k[:, token, :, :, None]
        known = (key.swapaxes(-1, -2) @ state)[..., 0, :]
        change = (v[:, token] - known) * written[:, token, :, None]
        state += key * change[..., None, :]
        found[:, token] = (q[:, token, :, None] @ state)[..., 0, :]
    return found
