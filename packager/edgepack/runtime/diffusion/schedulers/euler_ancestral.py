"""Euler's method with ancestral sampling: each step goes further down than the next, and new noise makes up for it."""

from __future__ import annotations

import numpy as np

from edgepack.arrays import Array
from edgepack.runtime.diffusion.noise import Normal
from edgepack.runtime.diffusion.records import Schedule
from edgepack.runtime.diffusion.schedulers._levels import TRAINING, alphas_cumprod, ratios, settled, spaced
from edgepack.runtime.diffusion.schedulers._ratios import Ratios

DEFAULTS = {**TRAINING, "timestep_spacing": "linspace", "rescale_betas_zero_snr": False}


class EulerAncestral(Ratios):
    """The steps of one run; see schedulers.Scheduler. Turbo models take one step of it, with spacing trailing."""

    def __init__(self, schedule: Schedule, steps: int) -> None:
        settings = settled(schedule, DEFAULTS)
        trained = ratios(alphas_cumprod(settings, above_zero=True))
        timesteps = spaced(settings, steps).astype(np.float32)
        super().__init__(settings, timesteps, np.append(np.interp(timesteps, np.arange(len(trained)), trained), 0))

    def step(self, output: Array, index: int, latents: Array, normal: Normal) -> Array:
        """Return the next latents, with new noise; none is left after the last step, but drawn."""
        sigma, to = self.sigmas[index], self.sigmas[index + 1]
        up = np.sqrt(to**2 * (sigma**2 - to**2) / sigma**2)
        down = np.sqrt(np.maximum(to**2 - up**2, np.float32(0)))  # rounding may take it below
        slope = (latents - self.denoised(output, index, latents)) / sigma
        return np.asarray(latents + slope * (down - sigma) + normal(output.shape) * up)
