"""DDIM without noise of its own (eta 0): Song et al., arXiv 2010.02502, equation 12."""

from __future__ import annotations

import numpy as np

from edgepack.arrays import Array
from edgepack.runtime.diffusion.noise import Normal
from edgepack.runtime.diffusion.records import Schedule
from edgepack.runtime.diffusion.schedulers._alphas import ONE, Alphas
from edgepack.runtime.diffusion.schedulers._levels import TRAINING, alphas_cumprod, settled, spaced

DEFAULTS = {
    **TRAINING,
    "clip_sample": True,
    "clip_sample_range": 1.0,
    "set_alpha_to_one": True,
    "timestep_spacing": "leading",
    "rescale_betas_zero_snr": False,
}


class Ddim:
    """The steps of one run; see schedulers.Scheduler."""

    def __init__(self, schedule: Schedule, steps: int) -> None:
        self._settings = settled(schedule, DEFAULTS)
        self._alphas = Alphas(alphas_cumprod(self._settings), self._settings)
        self._distance = self._settings.num_train_timesteps // steps
        self.timesteps = spaced(self._settings, steps).round().astype(np.int64)
        self.initial_scale = ONE

    def scaled(self, latents: Array, index: int) -> Array:
        """Return the UNet's input: the latents as they are."""
        return latents

    def denoised(self, output: Array, index: int, latents: Array) -> Array:
        """Return the latents without noise that ``output`` predicts."""
        return self._alphas.denoised(output, int(self.timesteps[index]), latents)

    def step(self, output: Array, index: int, latents: Array, normal: Normal) -> Array:
        """Return the next latents."""
        timestep = int(self.timesteps[index])
        left, next_left = self._alphas.left(timestep), self._alphas.left(timestep - self._distance)
        denoised = self._alphas.denoised(output, timestep, latents)
        noise = self._noise(output, latents, denoised, left)
        return np.asarray(np.sqrt(next_left) * self._alphas.clipped(denoised) + np.sqrt(ONE - next_left) * noise)

    def noised(self, latents: Array, noise: Array, index: int) -> Array:
        """Return latents of a picture with as much noise as there is at a step."""
        return self._alphas.noised(latents, noise, int(self.timesteps[index]))

    def _noise(self, output: Array, latents: Array, denoised: Array, left: np.float32) -> Array:
        """Return the noise that ``output`` predicts."""
        if self._settings.prediction_type == "epsilon":
            return output
        if self._settings.prediction_type == "sample":
            return np.asarray((latents - np.sqrt(left) * denoised) / np.sqrt(ONE - left))
        return np.asarray(np.sqrt(left) * output + np.sqrt(ONE - left) * latents)
