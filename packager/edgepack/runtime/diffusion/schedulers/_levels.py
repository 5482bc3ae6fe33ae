"""The noise at each of the timesteps that a model was trained with, and settings where none are stated."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np

from edgepack.arrays import Array
from edgepack.documents import JsonObject
from edgepack.runtime.diffusion.records import Schedule

# of diffusers' schedulers, where scheduler_config.json says nothing
TRAINING: JsonObject = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "trained_betas": None,
    "prediction_type": "epsilon",
    "steps_offset": 0,
}
_LARGEST_BETA = 0.999
_LEAST_ALPHA = np.float32(2**-24)  # in the place of 0, whose logarithm is needed


def settled(schedule: Schedule, defaults: JsonObject) -> SimpleNamespace:
    """Return the settings that ``defaults`` names, as stated or else by default."""
    stated = {name: getattr(schedule, name) for name in defaults}
    return SimpleNamespace(**{name: defaults[name] if one is None else one for name, one in stated.items()})


def alphas_cumprod(settings: SimpleNamespace, *, above_zero: bool = False) -> Array:
    """Return the part of the signal that is left at each timestep, float32 [timesteps], descending.

    ``above_zero``: where rescale_betas_zero_snr leaves nothing at the last one, a little is put.
    """
    betas = _betas(settings)
    if getattr(settings, "rescale_betas_zero_snr", False):
        betas = _rescaled(betas)
    left = _cumprod(np.float32(1) - betas)
    if above_zero and getattr(settings, "rescale_betas_zero_snr", False):
        left[-1] = _LEAST_ALPHA
    return left


def ratios(left: Array) -> Array:
    """Return the noise's deviation over the signal's (sigma), float32, of ``left``, what ``alphas_cumprod`` gives."""
    return np.asarray(np.sqrt((np.float32(1) - left) / left))


def spaced(settings: SimpleNamespace, steps: int) -> Array:
    """Return the timesteps of a run, float64, descending; the spacing linspace gives fractions."""
    total, spacing = settings.num_train_timesteps, settings.timestep_spacing
    if spacing == "linspace":
        return np.asarray(np.linspace(0, total - 1, steps)[::-1])
    if spacing == "leading":
        return np.asarray(np.arange(0.0, steps)[::-1] * (total // steps) + settings.steps_offset)
    return np.asarray(np.arange(total, 0, -total / steps).round() - 1)


def _betas(settings: SimpleNamespace) -> Array:
    if settings.trained_betas is not None:
        return np.asarray(settings.trained_betas, np.float32)
    total, start, end = settings.num_train_timesteps, settings.beta_start, settings.beta_end
    if settings.beta_schedule == "linear":
        return linspace(start, end, total)
    if settings.beta_schedule == "scaled_linear":
        return np.asarray(linspace(start**0.5, end**0.5, total) ** 2)
    bars = [math.cos((i / total + 0.008) / 1.008 * math.pi / 2) ** 2 for i in range(total + 1)]  # squaredcos_cap_v2
    return np.array([min(1 - bars[i + 1] / bars[i], _LARGEST_BETA) for i in range(total)], np.float32)


def _rescaled(betas: Array) -> Array:
    """Return betas that leave no signal at the last timestep (arXiv 2305.08891, algorithm 1), float32."""
    roots = np.sqrt(_cumprod(np.float32(1) - betas))
    first, last = roots[0], roots[-1]
    bars = ((roots - last) * (first / (first - last))) ** 2
    return np.asarray(np.float32(1) - np.concatenate([bars[:1], bars[1:] / bars[:-1]]))


def linspace(start: float, end: float, count: int) -> Array:
    """Return torch.linspace in float32 [count]: from both ends towards the middle, each value rounded once."""
    low, high = np.float32(start), np.float32(end)
    if count == 1:
        return np.array([low])
    step = float(np.float32((high - low) / np.float32(count - 1)))
    index = np.arange(count)
    made = np.where(index < count // 2, float(low) + step * index, float(high) - step * (count - 1 - index))
    return made.astype(np.float32)


def _cumprod(values: Array) -> Array:
    """Return torch.cumprod in float32, which accumulates in float64."""
    return np.asarray(np.cumprod(values, dtype=np.float64), np.float32)
