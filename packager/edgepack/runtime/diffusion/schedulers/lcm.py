"""Multistep sampling of latent consistency models: Luo et al., arXiv 2310.04378."""

from __future__ import annotations

import numpy as np

from edgepack.arrays import Array
from edgepack.errors import UsageError
from edgepack.runtime.diffusion.noise import Normal
from edgepack.runtime.diffusion.records import Schedule
from edgepack.runtime.diffusion.schedulers._alphas import ByAlphas
from edgepack.runtime.diffusion.schedulers._levels import TRAINING, settled

DEFAULTS = {
    **TRAINING,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "original_inference_steps": 50,
    "clip_sample": False,
    "clip_sample_range": 1.0,
    "set_alpha_to_one": True,
    "timestep_scaling": 10.0,
    "rescale_betas_zero_snr": False,
}
_DATA = 0.5  # the data's deviation, sigma_data


class Lcm(ByAlphas):
    """The steps of one run; see schedulers.Scheduler.

    A run that begins with an image, at ``strength``, can take all its steps among the timesteps up to there.
    """

    def __init__(self, schedule: Schedule, steps: int, strength: float = 1.0) -> None:
        super().__init__(settled(schedule, DEFAULTS))
        self.timesteps = self._spaced(steps, strength)

    def denoised(self, output: Array, index: int, latents: Array) -> Array:
        """Return the latents without noise that ``output`` predicts, weighted as the model was distilled."""
        timestep = int(self.timesteps[index])
        predicted = self._alphas.clipped(self._alphas.denoised(output, timestep, latents))
        scaled = np.float32(timestep) * np.float32(self._settings.timestep_scaling)
        length = scaled**2 + np.float32(_DATA**2)
        kept, taken = np.float32(_DATA**2) / length, scaled / np.sqrt(length)
        return np.asarray(taken * predicted + kept * latents)

    def step(self, output: Array, index: int, latents: Array, normal: Normal) -> Array:
        """Return the next latents: without noise, which is added again up to the last step."""
        denoised = self.denoised(output, index, latents)
        if index == len(self.timesteps) - 1:
            return denoised
        return self._alphas.noised(denoised, normal(denoised.shape), int(self.timesteps[index + 1]))

    def _spaced(self, steps: int, strength: float) -> Array:
        """Return timesteps among those of the distillation, int64 [steps]. Raises UsageError."""
        total, original = self._settings.num_train_timesteps, self._settings.original_inference_steps
        if steps > original:
            raise UsageError(f"steps is {steps}", hint=f"the model was distilled for {original} at most; 4 are usual")
        left = int(original * strength)
        if steps > left:
            raise UsageError(
                f"strength {strength:g} leaves {left} of the {original} timesteps, and steps is {steps}",
                hint=f"take a strength of {steps / original:.2g} or more, or fewer steps",
            )
        taught = (np.arange(1, left + 1) * (total // original) - 1)[::-1]
        return np.asarray(taught[np.floor(np.linspace(0, left, num=steps, endpoint=False)).astype(np.int64)])
