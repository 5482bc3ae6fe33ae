"""Euler's method: Karras et al., arXiv 2206.00364, algorithm 2 without churn."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from edgepack.arrays import Array
from edgepack.runtime.diffusion.noise import Normal
from edgepack.runtime.diffusion.records import Schedule
from edgepack.runtime.diffusion.schedulers import _sigmas
from edgepack.runtime.diffusion.schedulers._levels import TRAINING, alphas_cumprod, linspace, ratios, settled, spaced
from edgepack.runtime.diffusion.schedulers._ratios import Ratios

DEFAULTS = {
    **TRAINING,
    "interpolation_type": "linear",
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "sigma_min": None,
    "sigma_max": None,
    "timestep_spacing": "linspace",
    "rescale_betas_zero_snr": False,
    "final_sigmas_type": "zero",
}


class Euler(Ratios):
    """The steps of one run; see schedulers.Scheduler."""

    def __init__(self, schedule: Schedule, steps: int) -> None:
        settings = settled(schedule, DEFAULTS)
        left = alphas_cumprod(settings, above_zero=True)
        timesteps, sigmas = _spaced(settings, ratios(left), steps)
        last = ratios(left[:1])[0] if settings.final_sigmas_type == "sigma_min" else 0
        super().__init__(settings, timesteps, np.append(sigmas, last))

    def step(self, output: Array, index: int, latents: Array, normal: Normal) -> Array:
        """Return the next latents."""
        sigma, to = self.sigmas[index], self.sigmas[index + 1]
        slope = (latents - self.denoised(output, index, latents)) / sigma
        return np.asarray(latents + slope * (to - sigma))


def _spaced(settings: SimpleNamespace, trained: Array, steps: int) -> tuple[Array, Array]:
    """Return the timesteps and the sigmas of a run, float64 [steps]."""
    timesteps = spaced(settings, steps).astype(np.float32)
    if settings.interpolation_type == "linear":
        sigmas = np.interp(timesteps, np.arange(len(trained)), trained)
    else:
        # one more than there are timesteps, as in diffusers
        sigmas = np.exp(linspace(np.log(trained[-1]), np.log(trained[0]), steps + 1))
    if not (settings.use_karras_sigmas or settings.use_exponential_sigmas):
        return timesteps, sigmas
    highest = sigmas[0].item() if settings.sigma_max is None else settings.sigma_max
    lowest = sigmas[-1].item() if settings.sigma_min is None else settings.sigma_min
    space = _sigmas.karras if settings.use_karras_sigmas else _sigmas.exponential
    sigmas = space(highest, lowest, steps)
    return _sigmas.timesteps(sigmas, np.log(trained)), sigmas
