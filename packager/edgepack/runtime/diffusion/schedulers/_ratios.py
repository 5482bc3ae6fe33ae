"""Latents that are signal plus noise of deviation sigma: what both of Euler's methods share."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from edgepack.arrays import Array

_ONE = np.float32(1)


class Ratios:
    """The steps of one run over ``sigmas``, float32 [steps + 1], the last of them of what is left at the end."""

    def __init__(self, settings: SimpleNamespace, timesteps: Array, sigmas: Array) -> None:
        self._settings = settings
        self.timesteps: Array = timesteps.astype(np.float32)
        self.sigmas: Array = sigmas.astype(np.float32)

    @property
    def initial_scale(self) -> np.float32:
        """The number by which noise of variance one is multiplied to begin with."""
        highest = self.sigmas.max()
        return np.float32(np.sqrt(highest**2 + _ONE) if self._settings.timestep_spacing == "leading" else highest)

    def scaled(self, latents: Array, index: int) -> Array:
        """Return the UNet's input, of variance one."""
        return np.asarray(latents / np.sqrt(self.sigmas[index] ** 2 + _ONE))

    def denoised(self, output: Array, index: int, latents: Array) -> Array:
        """Return the latents without noise that ``output`` predicts."""
        sigma = self.sigmas[index]
        if self._settings.prediction_type == "sample":
            return output
        if self._settings.prediction_type == "v_prediction":
            return np.asarray(output * (-sigma / np.sqrt(sigma**2 + _ONE)) + latents / (sigma**2 + _ONE))
        return np.asarray(latents - sigma * output)

    def noised(self, latents: Array, noise: Array, index: int) -> Array:
        """Return latents of an image with as much noise as there is at a step."""
        return np.asarray(latents + noise * self.sigmas[index])
