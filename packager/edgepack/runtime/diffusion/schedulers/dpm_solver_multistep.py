"""DPM-Solver++, multistep, of orders 1 to 3, and its form with noise (SDE): Lu et al., arXiv 2211.01095."""

from __future__ import annotations

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from edgepack.arrays import Array
from edgepack.runtime.diffusion.noise import Normal
from edgepack.runtime.diffusion.records import Schedule
from edgepack.runtime.diffusion.schedulers import _sigmas
from edgepack.runtime.diffusion.schedulers._levels import TRAINING, alphas_cumprod, ratios, settled

DEFAULTS = {
    **TRAINING,
    "solver_order": 2,
    "algorithm_type": "dpmsolver++",
    "solver_type": "midpoint",
    "lower_order_final": True,
    "euler_at_final": False,
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_lu_lambdas": False,
    "sigma_min": None,
    "sigma_max": None,
    "final_sigmas_type": "zero",
    "lambda_min_clipped": None,
    "timestep_spacing": "linspace",
    "rescale_betas_zero_snr": False,
}
_ONE = np.float32(1)
_FEW = 15  # steps, below which the last are of a lower order


class _Level(NamedTuple):
    """A level of noise: the deviations of signal and noise, and half the logarithm of their ratio, squared."""

    signal: np.float32
    noise: np.float32
    logarithm: np.float32


class DpmSolverMultistep:
    """The steps of one run; see schedulers.Scheduler."""

    def __init__(self, schedule: Schedule, steps: int) -> None:
        self._settings = settled(schedule, DEFAULTS)
        left = alphas_cumprod(self._settings, above_zero=True)
        timesteps, sigmas = _spaced(self._settings, left, steps)
        last = ratios(left[:1])[0] if self._settings.final_sigmas_type == "sigma_min" else 0
        self.timesteps = timesteps.astype(np.int64)
        self.sigmas = np.append(sigmas, last).astype(np.float32)
        self.initial_scale = _ONE
        self._predicted: list[Array] = []  # the last, as many as the order

    def scaled(self, latents: Array, index: int) -> Array:
        """Return the UNet's input: the latents as they are."""
        return latents

    def denoised(self, output: Array, index: int, latents: Array) -> Array:
        """Return the latents without noise that ``output`` predicts."""
        level = self._level(index)
        if self._settings.prediction_type == "sample":
            return output
        if self._settings.prediction_type == "v_prediction":
            return np.asarray(level.signal * latents - level.noise * output)
        return np.asarray((latents - level.noise * output) / level.signal)

    def step(self, output: Array, index: int, latents: Array, normal: Normal) -> Array:
        """Return the next latents, with new noise where the algorithm is sde-dpmsolver++."""
        order = min(self._order(index), len(self._predicted) + 1)
        kept = self._predicted[1 - self._settings.solver_order :] if self._settings.solver_order > 1 else []
        self._predicted = [*kept, self.denoised(output, index, latents)]
        stochastic = self._settings.algorithm_type == "sde-dpmsolver++"
        noise = normal(output.shape) if stochastic else None
        return self._moved(latents, index, order, noise)

    def noised(self, latents: Array, noise: Array, index: int) -> Array:
        """Return latents of an image with as much noise as there is at a step."""
        level = self._level(index)
        return np.asarray(level.signal * latents + level.noise * noise)

    def _order(self, index: int) -> int:
        """Return the highest order that a step may have."""
        settings, count = self._settings, len(self.timesteps)
        lower = settings.lower_order_final and count < _FEW
        if index == count - 1 and (settings.euler_at_final or lower or settings.final_sigmas_type == "zero"):
            return 1
        return min(2, settings.solver_order) if index == count - 2 and lower else int(settings.solver_order)

    def _level(self, index: int) -> _Level:
        sigma = self.sigmas[index]
        signal = _ONE / np.sqrt(sigma**2 + _ONE)
        with np.errstate(divide="ignore"):  # at the end there is no noise
            return _Level(signal, sigma * signal, np.log(signal) - np.log(sigma * signal))

    def _moved(self, latents: Array, index: int, order: int, noise: Array | None) -> Array:
        """Return the latents at the next level, from the last ``order`` predictions."""
        to, here = self._level(index + 1), self._level(index)
        step = to.logarithm - here.logarithm
        if noise is None:
            rate, kept = step, to.noise / here.noise
        else:
            rate, kept = np.float32(2) * step, to.noise / here.noise * np.exp(-step)
        gain = _ONE - np.exp(-rate)
        made = kept * latents + to.signal * gain * self._predicted[-1]
        if order > 1:
            first, second = self._differences(index, order, step)
            midpoint = order == 2 and self._settings.solver_type == "midpoint"
            weight = np.float32(0.5) * gain if midpoint else _ONE - gain / rate
            made = made + to.signal * weight * first
            if second is not None:
                half = np.float32(0.5 if noise is None else -0.5)  # as in diffusers, with either sign
                made = made + to.signal * ((gain - rate) / rate**2 + half) * second
        return np.asarray(made if noise is None else made + to.noise * np.sqrt(_ONE - np.exp(-rate)) * noise)

    def _differences(self, index: int, order: int, step: np.float32) -> tuple[Array, Array | None]:
        """Return the first and, of order 3, the second differences of the predictions over the steps' lengths."""
        logarithms = [self._level(index - back).logarithm for back in range(order)]
        latest, before = self._predicted[-1], self._predicted[-2]
        near = (logarithms[0] - logarithms[1]) / step
        first = _ONE / near * (latest - before)
        if order == 2:
            return np.asarray(first), None
        far = (logarithms[1] - logarithms[2]) / step
        earlier = _ONE / far * (before - self._predicted[-3])
        change = first - earlier
        return np.asarray(first + near / (near + far) * change), np.asarray(_ONE / (near + far) * change)


def _spaced(settings: SimpleNamespace, left: Array, steps: int) -> tuple[Array, Array]:
    """Return the timesteps and the sigmas of a run, [steps], descending."""
    trained = ratios(left)
    logarithms = np.log(trained)
    if not (settings.use_karras_sigmas or settings.use_lu_lambdas or settings.use_exponential_sigmas):
        timesteps = _timesteps(settings, left, steps)
        return timesteps, np.interp(timesteps, np.arange(len(trained)), trained)
    highest = trained[-1].item() if settings.sigma_max is None else settings.sigma_max
    lowest = trained[0].item() if settings.sigma_min is None else settings.sigma_min
    if settings.use_karras_sigmas:
        sigmas = _sigmas.karras(highest, lowest, steps)
    elif settings.use_lu_lambdas:
        sigmas = np.exp(_sigmas.lu(logarithms[-1].item(), logarithms[0].item(), steps))
    else:
        sigmas = _sigmas.exponential(highest, lowest, steps)
    timesteps = _sigmas.timesteps(sigmas, logarithms)
    rounded = settings.beta_schedule != "squaredcos_cap_v2" and not settings.use_exponential_sigmas
    return timesteps.round() if rounded else timesteps, sigmas


def _timesteps(settings: SimpleNamespace, left: Array, steps: int) -> Array:
    """Return the timesteps of a run, int64 [steps], of those whose noise is not above what lambda_min_clipped lets."""
    total = last = settings.num_train_timesteps
    if settings.lambda_min_clipped is not None:
        lambdas = np.log(np.sqrt(left)) - np.log(np.sqrt(_ONE - left))
        last = total - int(np.searchsorted(lambdas[::-1], settings.lambda_min_clipped))
    if settings.timestep_spacing == "linspace":
        made = np.linspace(0, last - 1, steps + 1).round()[::-1][:-1]
    elif settings.timestep_spacing == "leading":
        made = (np.arange(0, steps + 1) * (last // (steps + 1)))[::-1][:-1] + settings.steps_offset
    else:
        made = np.arange(last, 0, -total / steps).round() - 1
    return made.astype(np.int64)
