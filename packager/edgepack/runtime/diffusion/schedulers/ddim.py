"""DDIM without noise of its own (eta 0): Song et al., arXiv 2010.02502, equation 12."""

from __future__ import annotations

import numpy as np

from edgepack.arrays import Array
from edgepack.runtime.diffusion.noise import Normal
from edgepack.runtime.diffusion.records import Schedule
from edgepack.runtime.diffusion.schedulers._alphas import ONE, ByAlphas
from edgepack.runtime.diffusion.schedulers._levels import TRAINING, settled, spaced

DEFAULTS = {
    **TRAINING,
    "clip_sample": True,
    "clip_sample_range": 1.0,
    "set_alpha_to_one": True,
    "timestep_spacing": "leading",
    "rescale_betas_zero_snr": False,
}


class Ddim(ByAlphas):
    """The steps of one run; see schedulers.Scheduler."""

    def __init__(self, schedule: Schedule, steps: int) -> None:
        super().__init__(settled(schedule, DEFAULTS))
        self._distance = self._settings.num_train_timesteps // steps
        self.timesteps = spaced(self._settings, steps).round().astype(np.int64)

    def step(self, output: Array, index: int, latents: Array, normal: Normal) -> Array:
        """Return the next latents."""
        timestep = int(self.timesteps[index])
        left, next_left = self._alphas.left(timestep), self._alphas.left(timestep - self._distance)
        denoised = self._alphas.denoised(output, timestep, latents)
        noise = self._noise(output, latents, denoised, left)
        return np.asarray(np.sqrt(next_left) * self._alphas.clipped(denoised) + np.sqrt(ONE - next_left) * noise)

    def _noise(self, output: Array, latents: Array, denoised: Array, left: np.float32) -> Array:
        """Return the noise that ``output`` predicts."""
        if self._settings.prediction_type == "epsilon":
            return output
        if self._settings.prediction_type == "sample":
            return np.asarray((latents - np.sqrt(left) * denoised) / np.sqrt(ONE - left))
        return np.asarray(np.sqrt(left) * output + np.sqrt(ONE - left) * latents)
