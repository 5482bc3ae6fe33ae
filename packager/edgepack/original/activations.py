"""The activations of language models in numpy, by the names that descriptions give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edgepack.arrays import Array


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), without an overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def _silu(x: Array) -> Array:
    return np.asarray(x * sigmoid(x))


def _gelu(x: Array) -> Array:
    """Return x Phi(x) (Hendrycks & Gimpel 2016), with erf by Abramowitz & Stegun 7.1.26 in float64 (error 1.5e-7)."""
    z = np.abs(x.astype(np.float64)) / np.sqrt(2)
    t = 1 / (1 + 0.3275911 * z)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    erf = np.sign(x) * (1 - series * np.exp(-z * z))
    return np.asarray(0.5 * x * (1 + erf), np.float32)


def _gelu_tanh(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.tanh(np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x**3))))


def xielu(x: Array, *, alpha_p: float, alpha_n: float, beta: float, eps: float) -> Array:
    """Return xIELU (Huang & Schlag 2024), float32; the two alphas are stored before their softplus."""
    above, below = np.float32(np.logaddexp(0, alpha_p)), np.float32(beta + np.logaddexp(0, alpha_n))
    linear = np.float32(beta) * x
    negative = (np.expm1(np.minimum(x, np.float32(eps))) - x) * below
    return np.where(x > 0, above * x * x, negative) + linear


def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "silu": _silu, "gelu": _gelu, "gelu_tanh": _gelu_tanh, "relu": _relu, "relu2": lambda x: _relu(x) ** 2,
}  # fmt: skip
