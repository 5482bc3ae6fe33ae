"""The angles of rotary position embeddings, with the scalings that families use."""

from __future__ import annotations

import math

import numpy as np

from edgepack.decoders import Rotary
from edgepack.errors import UnsupportedModel
from edgepack.runtime.types import Array


def tables(rotary: Rotary, context: int) -> tuple[Array, Array]:
    """Cos and sin, float32 [context, width / 2]. Raises UnsupportedModel for a scaling that is not known."""
    frequencies, factor = _frequencies(rotary, context)
    angles = np.arange(context, dtype=np.float64)[:, None] * frequencies
    return (np.cos(angles) * factor).astype(np.float32), (np.sin(angles) * factor).astype(np.float32)


def check(rotary: Rotary) -> None:
    """Raises UnsupportedModel for a scaling that is not known; KeyError, ValueError where it gives no angles."""
    with np.errstate(all="ignore"):
        for context in {rotary.trained, rotary.longest}:
            frequencies, factor = _frequencies(rotary, context)
            if not np.isfinite([*frequencies, factor]).all() or frequencies.min(initial=1) <= 0:
                raise ValueError("rope_scaling")


def _frequencies(rotary: Rotary, context: int) -> tuple[Array, float]:
    """float64 [width / 2], and the factor of cos and sin."""
    plain = rotary.base ** (-np.arange(0, rotary.width, 2, dtype=np.float64) / rotary.width)
    said = rotary.scaling
    kind = said.get("rope_type") or said.get("type") or "default"
    if kind == "default":
        return plain, 1.0
    if kind == "linear":
        return plain / float(said["factor"]), 1.0
    if kind == "llama3":
        return _llama3(plain, rotary), 1.0
    if kind == "yarn":
        return _yarn(plain, rotary)
    if kind in ("longrope", "su"):
        return _longrope(plain, rotary, context)
    raise UnsupportedModel(f"the rotary scaling {kind!r} is not packed", hint="known: linear, llama3, yarn, longrope")


def _llama3(plain: Array, rotary: Rotary) -> Array:
    """Llama 3.1's: long waves are stretched, short ones are not, those between are in between."""
    said = rotary.scaling
    factor, low, high = float(said["factor"]), float(said["low_freq_factor"]), float(said["high_freq_factor"])
    turns = rotary.trained * plain / (2 * math.pi)
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return np.asarray((1 - smooth) * plain / factor + smooth * plain)


def _yarn(plain: Array, rotary: Rotary) -> tuple[Array, float]:
    """YaRN (Peng et al. 2023), equations 17 to 22."""
    said = rotary.scaling
    factor = float(said["factor"])
    fast, slow = float(said.get("beta_fast") or 32), float(said.get("beta_slow") or 1)

    def dimension(turns: float) -> float:
        """Which pair of dimensions makes ``turns`` turns over the trained length."""
        return rotary.width * math.log(rotary.trained / (turns * 2 * math.pi)) / (2 * math.log(rotary.base))

    low, high = max(math.floor(dimension(fast)), 0), min(math.ceil(dimension(slow)), rotary.width - 1)
    ramp = np.clip((np.arange(rotary.width // 2) - low) / max(high - low, 0.001), 0, 1)
    attention = said.get("attention_factor")
    return plain / factor * ramp + plain * (1 - ramp), float(attention or 0.1 * math.log(factor) + 1.0)


def _longrope(plain: Array, rotary: Rotary, context: int) -> tuple[Array, float]:
    """LongRoPE (Ding et al. 2024): factors of each dimension, one list for the trained length and one beyond it.

    One table serves all lengths of a bundle, so the bundle's context decides between the lists.
    """
    said = rotary.scaling
    beyond = context > rotary.trained
    factors = np.asarray(said["long_factor" if beyond else "short_factor"], np.float64)
    stretch = rotary.longest / rotary.trained
    if stretch == 1:
        stretch = float(said.get("factor") or 1)
    attention = said.get("attention_factor")
    usual = math.sqrt(1 + math.log(stretch) / math.log(rotary.trained)) if stretch > 1 else 1.0
    return plain / factors, float(attention or usual)
