"""Spacings of sigma, the noise's deviation over the signal's, and the timesteps that belong to them."""

from __future__ import annotations

import math

import numpy as np

from edgepack.arrays import Array

_RHO = 7.0  # of Karras et al., arXiv 2206.00364, equation 5


def karras(highest: float, lowest: float, steps: int) -> Array:
    """Return sigmas, float64 [steps], descending."""
    return _powered(highest, lowest, steps, _RHO)


def exponential(highest: float, lowest: float, steps: int) -> Array:
    """Return sigmas at equal distances of their logarithms, float64 [steps], descending."""
    return np.asarray(np.exp(np.linspace(math.log(highest), math.log(lowest), steps)))


def lu(highest: float, lowest: float, steps: int) -> Array:
    """Return the logarithms of sigmas at equal distances (Lu et al., arXiv 2206.00927), float64 [steps]."""
    return _powered(highest, lowest, steps, 1.0)


def timesteps(sigmas: Array, logarithms: Array) -> Array:
    """Return the timesteps, float64, at which ``sigmas`` lie between those of training, of ascending ``logarithms``."""
    wanted = np.log(np.maximum(sigmas, 1e-10))
    low = np.cumsum(wanted >= logarithms[:, None], axis=0).argmax(axis=0).clip(max=len(logarithms) - 2)
    below, above = logarithms[low], logarithms[low + 1]
    weight = np.clip((below - wanted) / (below - above), 0, 1)
    return np.asarray((1 - weight) * low + weight * (low + 1))


def _powered(highest: float, lowest: float, steps: int, rho: float) -> Array:
    ends = highest ** (1 / rho), lowest ** (1 / rho)
    return np.asarray((ends[0] + np.linspace(0, 1, steps) * (ends[1] - ends[0])) ** rho)
