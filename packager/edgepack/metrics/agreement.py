"""How far one output of a compressed model lies from the original's; both are vectors of one sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from edgepack.arrays import Array, cosine

EQUAL = 160.0  # dB, of equal arrays
_SILENT = 1e-300  # keeps the logarithm of a noise of nothing finite: 3000 dB


def sqnr(original: Array, compressed: Array) -> float:
    """Return signal to quantization noise, 10 log10(|x|^2 / |x - y|^2), dB."""
    a, b = original.astype(np.float64), compressed.astype(np.float64)
    noise = float(((a - b) ** 2).sum())
    return float(10 * np.log10(max(float((a**2).sum()), _SILENT) / max(noise, _SILENT)))


def psnr(original: Array, compressed: Array, peak: float | None = None) -> float:
    """Return the peak signal to noise ratio, 20 log10(peak / RMSE(x, y)), dB, at most 160: float32 tells no more.

    The peak is max|x| where none is given, as in Apple's tables for Stable Diffusion.
    """
    a, b = original.astype(np.float64), compressed.astype(np.float64)
    error = float(np.sqrt(((a - b) ** 2).mean()))
    if error == 0:
        return EQUAL
    highest = float(np.abs(a).max()) if peak is None else peak
    return min(float(20 * np.log10(max(highest, _SILENT) / error)), EQUAL)


def max_error(original: Array, compressed: Array) -> float:
    """Return the largest absolute difference."""
    return float(np.abs(original.astype(np.float64) - compressed.astype(np.float64)).max())


def top1(original: Array, compressed: Array) -> float:
    """Return 1 where the largest value is at the same place, else 0."""
    return float(int(original.argmax()) == int(compressed.argmax()))


def kl(original: Array, compressed: Array) -> float:
    """Return the Kullback-Leibler divergence of the compressed model's distribution from the original's, in nats."""
    p, q = _log_softmax(original), _log_softmax(compressed)
    return float(np.exp(p) @ (p - q))


def _log_softmax(logits: Array) -> Array:
    shifted = logits.astype(np.float64) - float(logits.max())
    return np.asarray(shifted - np.log(np.exp(shifted).sum()))


MEASURES: dict[str, Callable[[Array, Array], float]] = {
    "cosine": cosine,
    "sqnr_db": sqnr,
    "psnr": psnr,
    "max_error": max_error,
    "top1": top1,
    "kl": kl,
}
LESS_IS_BETTER = {"max_error", "kl"}
REDUCE: dict[str, Callable[[Array], np.floating]] = {
    "mean": np.mean,
    "min": np.min,
    "max": np.max,
    "median": np.median,
    "p99": partial(np.percentile, q=99),
}


def per_sample(names: Sequence[str], original: Sequence[Array], compressed: Sequence[Array]) -> dict[str, Array]:
    """Return each of ``names`` for each pair of vectors, float64 [samples]."""
    pairs = list(zip(original, compressed, strict=True))
    return {name: np.array([MEASURES[name](a, b) for a, b in pairs]) for name in names}
