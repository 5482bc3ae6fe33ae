"""The angles of rotary position embeddings, with the scalings that families use."""

from __future__ import annotations

import math

import numpy as np

from edgepack.arrays import Array
from edgepack.decoders import Rotary


def cos_sin_cache(rotary: Rotary, context: int) -> tuple[Array, Array]:
    """Return cos and sin, float32 [context, width / 2]."""
    angles = np.arange(context, dtype=np.float64)[:, None] * frequencies(rotary, context)
    factor = attention_factor(rotary, context)
    return (np.cos(angles) * factor).astype(np.float32), (np.sin(angles) * factor).astype(np.float32)


def attention_factor(rotary: Rotary, context: int) -> float:
    """Return what cos and sin are multiplied by, for a text of ``context`` tokens."""
    said = rotary.scaling
    usual = said.get("attention_factor", 1.0)
    return float(said.get("long_attention_factor", usual) if context > rotary.trained else usual)


def check(rotary: Rotary) -> None:
    """Raises ValueError where the numbers give no angles."""
    with np.errstate(all="ignore"):
        for context in {rotary.trained, rotary.longest}:
            found = frequencies(rotary, context)
            if not np.isfinite([*found, attention_factor(rotary, context)]).all() or found.min(initial=1) < 0:
                raise ValueError("rope_parameters")


def frequencies(rotary: Rotary, context: int) -> Array:
    """Return radians per token of each pair of dimensions, float64 [width / 2], for a text of ``context`` tokens."""
    plain = rotary.base ** (-np.arange(0, rotary.width, 2, dtype=np.float64) / rotary.width)
    said = rotary.scaling
    kind = said.get("rope_type", "default")
    if kind == "linear":
        return np.asarray(plain / said["factor"])
    if kind == "llama3":
        return _llama3(plain, rotary)
    if kind == "yarn":
        return _yarn(plain, rotary)
    if kind == "longrope":
        return _longrope(plain, rotary, context)
    if kind == "proportional":  # the first pairs turn as those of whole heads, the others not at all
        still = np.arange(len(plain)) >= int(said["share"] * rotary.width // 2)
        return np.where(still, 0.0, plain / said["factor"])
    return np.asarray(plain)


def _llama3(plain: Array, rotary: Rotary) -> Array:
    """Scale as Llama 3.1 does: long waves are stretched, short ones are not, those between are in between."""
    said = rotary.scaling
    factor, low, high = said["factor"], said["low_freq_factor"], said["high_freq_factor"]
    turns = rotary.trained * plain / (2 * math.pi)
    smooth = (turns - low) / (high - low)
    between = (1 - smooth) * plain / factor + smooth * plain
    return np.where(turns < low, plain / factor, np.where(turns > high, plain, between))


def _yarn(plain: Array, rotary: Rotary) -> Array:
    """Scale by YaRN (Peng et al. 2023), equations 17 to 22."""
    said = rotary.scaling

    def dimension(turns: float) -> float:
        """Return which pair of dimensions makes ``turns`` turns over the trained length."""
        return rotary.width * math.log(rotary.trained / (turns * 2 * math.pi)) / (2 * math.log(rotary.base))

    low, high = dimension(said["beta_fast"]), dimension(said["beta_slow"])
    if said["truncate"]:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, rotary.width - 1)
    ramp = np.clip((np.arange(rotary.width // 2) - low) / (high - low if high != low else 0.001), 0, 1)
    return np.asarray(plain / said["factor"] * ramp + plain * (1 - ramp))


def _longrope(plain: Array, rotary: Rotary, context: int) -> Array:
    """Scale by LongRoPE (Ding et al. 2024): factors of each dimension, one list up to the trained length, one
    beyond.
    """
    beyond = context > rotary.trained
    factors = np.asarray(rotary.scaling["long_factor" if beyond else "short_factor"], np.float64)
    return np.asarray(plain / factors)
