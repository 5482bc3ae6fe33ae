"""Activations; per-channel parameters lie along the second dimension."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgepack.coreml.ops.registry import op

_GELU = {"EXACT": "none", "TANH_APPROXIMATION": "tanh"}


def _channels(value: Tensor, x: Tensor) -> Tensor:
    return value.reshape(1, -1, *[1] * (x.dim() - 2))


@op("clamped_relu")
def clamped_relu(x: Tensor, alpha: float, beta: float) -> Tensor:
    """Return min(x, beta), negative ``x`` times alpha before."""
    return torch.where(x >= 0, x, alpha * x).clamp(max=beta)


@op("elu")
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Return ``x``, or alpha (eˣ - 1) where it is negative."""
    return torch.where(x > 0, x, alpha * torch.expm1(x))


@op("gelu")
def gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    """Return x Φ(x) (Hendrycks & Gimpel 2016), exact or by tanh or the sigmoid."""
    return x * torch.sigmoid(1.702 * x) if mode == "SIGMOID_APPROXIMATION" else F.gelu(x, approximate=_GELU[mode])


@op("leaky_relu")
def leaky_relu(x: Tensor, alpha: float = 0.01) -> Tensor:
    """Return negative ``x`` times alpha."""
    return F.leaky_relu(x, alpha)


@op("linear_activation")
def linear_activation(x: Tensor, alpha: float, beta: float = 0.0) -> Tensor:
    """Return the line alpha x + beta."""
    return alpha * x + beta


@op("prelu")
def prelu(x: Tensor, alpha: Tensor) -> Tensor:
    """Return negative ``x`` times its channel's alpha."""
    return torch.where(x >= 0, x, x * _channels(alpha, x))


@op("relu", exact=True)
def relu(x: Tensor) -> Tensor:
    """Return max(x, 0)."""
    return torch.relu(x)


@op("relu6", exact=True)
def relu6(x: Tensor) -> Tensor:
    """Return ``x`` within [0, 6]."""
    return x.clamp(0, 6)


@op("scaled_tanh")
def scaled_tanh(x: Tensor, alpha: float = 1.0, beta: float = 1.0) -> Tensor:
    """Return the curve alpha tanh(beta x)."""
    return alpha * torch.tanh(beta * x)


@op("sigmoid")
def sigmoid(x: Tensor) -> Tensor:
    """Return 1 / (1 + e⁻ˣ)."""
    return torch.sigmoid(x)


@op("sigmoid_hard")
def sigmoid_hard(x: Tensor, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    """Return the line alpha x + beta within [0, 1]."""
    return (alpha * x + beta).clamp(0, 1)


@op("silu")
def silu(x: Tensor) -> Tensor:
    """Return ``x`` times its sigmoid (Ramachandran et al. 2017)."""
    return F.silu(x)


@op("softmax", fresh=True)
def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Return eˣ over the sum of them along ``axis``."""
    return torch.softmax(x, axis)


@op("softplus")
def softplus(x: Tensor) -> Tensor:
    """Return log(1 + eˣ)."""
    return torch.logaddexp(x, torch.zeros_like(x))


@op("softplus_parametric")
def softplus_parametric(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Return the curve alpha log(1 + exp(beta x)), with a channel's alpha and beta."""
    scaled = x * _channels(beta, x)
    return _channels(alpha, x) * torch.logaddexp(scaled, torch.zeros_like(scaled))


@op("softsign")
def softsign(x: Tensor) -> Tensor:
    """Return x / (1 + |x|)."""
    return F.softsign(x)


@op("thresholded_relu", exact=True)
def thresholded_relu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Return ``x`` where it is at least alpha, else 0."""
    return torch.where(x >= alpha, x, torch.zeros_like(x))
