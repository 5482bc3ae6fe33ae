"""Normalisation. Mean and variance are the biased ones."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgepack.coreml.ops.registry import Ints, op


@op("batch_norm")
def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: float = 1e-5,
) -> Tensor:
    """Return each channel by its stored mean and variance; x [N, C, …]."""
    return F.batch_norm(x, mean, variance, gamma, beta, eps=epsilon)


@op("instance_norm")
def instance_norm(x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: float = 1e-5) -> Tensor:
    """Return each channel of each sample by its own mean and variance; x [N, C, …]."""
    spatial = tuple(range(2, x.dim()))
    variance, mean = torch.var_mean(x, spatial, correction=0, keepdim=True)
    normal = (x - mean) * torch.rsqrt(variance + epsilon)
    shape = (1, -1, *[1] * len(spatial))
    normal = normal if gamma is None else normal * gamma.reshape(shape)
    return normal if beta is None else normal + beta.reshape(shape)


@op("l2_norm")
def l2_norm(x: Tensor, epsilon: float = 1e-6) -> Tensor:
    """Return the last three dimensions by the root of their sum of squares."""
    return x * torch.rsqrt(x.square().sum((-3, -2, -1), keepdim=True) + epsilon)


@op("layer_norm")
def layer_norm(
    x: Tensor,
    axes: Ints | None = None,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: float = 1e-5,
) -> Tensor:
    """Return normalise over ``axes`` (Ba et al. 2016); gamma and beta have the shape of those."""
    where = sorted(axis % x.dim() for axis in (axes or range(x.dim())))
    shape = [x.shape[axis] for axis in where]
    if where == list(range(x.dim() - len(where), x.dim())):
        return F.layer_norm(x, shape, gamma, beta, epsilon)
    variance, mean = torch.var_mean(x, where, correction=0, keepdim=True)
    normal = (x - mean) * torch.rsqrt(variance + epsilon)
    spread = [x.shape[axis] if axis in where else 1 for axis in range(x.dim())]
    normal = normal if gamma is None else normal * gamma.reshape(spread)
    return normal if beta is None else normal + beta.reshape(spread)


@op("local_response_norm")
def local_response_norm(x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """Divide by (k + alpha / size · sum of squares of ``size`` channels around)^beta (Krizhevsky et al. 2012)."""
    return F.local_response_norm(x, size, alpha, beta, k)
