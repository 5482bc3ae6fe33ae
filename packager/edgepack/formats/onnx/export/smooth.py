"""Move the outliers of activations into the weights (SmoothQuant, Xiao et al. 2023), cross-validated.

x W = (x / s) (s W): with a large s where a channel of x is large, the scaled activation fits eight bits better. The
paper's s = max|x|^a / max|W|^(1-a) is tried for several a, with a floor below which a channel's largest value is
not believed: channels that were small in the calibration texts may be outliers in others. What is best on texts that s
was not fitted on is taken.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgepack.arrays import Array

# (a, floor as a share of the largest channel); None: no smoothing
CANDIDATES: tuple[tuple[float, float] | None, ...] = (
    None,
    (0.75, 0.02),
    (0.75, 0.1),
    (0.75, 0.3),
    (1.0, 0.2),
    (1.0, 0.3),
)
_ROWS = 192  # of each half: the error is a mean over them, more change nothing
_WORTH = 0.8  # smoothing costs a multiplication at run time, so it must take away a fifth of the error

Rounding = Callable[[Array], Array]


def factors(rows: Array, weight: Array, quantized: Rounding, activation: Rounding) -> Array | None:
    """Return s, float32 [k], for an activation with the sample ``rows`` [n, k] and its ``weight`` [k, n]; None: none
    helps.

    ``quantized`` and ``activation`` give what a weight and an activation become when they are stored.
    """
    halves = rows[0::2][:_ROWS], rows[1::2][:_ROWS]
    errors = {
        candidate: max(
            _error(test, weight, _of(fit, weight, candidate), quantized, activation)
            for fit, test in (halves, halves[::-1])
        )
        for candidate in CANDIDATES
    }
    best = min(errors, key=lambda candidate: errors[candidate])
    if best is None or errors[best] > _WORTH * errors[None]:
        return None
    return _of(rows, weight, best)


def _of(rows: Array, weight: Array, candidate: tuple[float, float] | None) -> Array:
    """Return s with a geometric mean of 1."""
    if candidate is None:
        return np.ones(len(weight), np.float32)
    power, floor = candidate
    loud = np.abs(rows).max(axis=0)
    loud = np.maximum(loud, max(floor * float(loud.max()), 1e-5))
    heavy = np.maximum(np.abs(weight).max(axis=1), 1e-5)
    s = loud**power / heavy ** (1 - power)
    return np.asarray(s / np.exp(np.log(s).mean()), np.float32)


def _error(rows: Array, weight: Array, s: Array, quantized: Rounding, activation: Rounding) -> float:
    """Return the squared error of the product after rounding, relative to the product."""
    true = rows @ weight
    made = activation(rows / s) @ quantized(weight * s[:, None])
    return float(((made - true) ** 2).sum() / max(float((true**2).sum()), 1e-30))
