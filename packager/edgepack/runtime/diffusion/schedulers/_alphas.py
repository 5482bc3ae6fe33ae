"""Predictions by the part of the signal that is left: what DDIM, PNDM and LCM share."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from edgepack.arrays import Array
from edgepack.runtime.diffusion.schedulers._levels import alphas_cumprod

ONE = np.float32(1)


class Alphas:
    """The part of the signal that is left at a timestep, ``left``, float32; behind the last it is ``final``."""

    def __init__(self, left: Array, settings: SimpleNamespace) -> None:
        self._left, self._settings = left, settings
        self._final = ONE if settings.set_alpha_to_one else left[0]

    def left(self, timestep: int) -> np.float32:
        """Return the part of the signal, of variance, at a timestep; below 0 what is at the end."""
        return np.float32(self._left[timestep] if timestep >= 0 else self._final)

    def denoised(self, output: Array, timestep: int, latents: Array) -> Array:
        """Return the latents without noise that ``output`` predicts."""
        left = self.left(timestep)
        if self._settings.prediction_type == "sample":
            return output
        if self._settings.prediction_type == "v_prediction":
            return np.asarray(np.sqrt(left) * latents - np.sqrt(ONE - left) * output)
        return np.asarray((latents - np.sqrt(ONE - left) * output) / np.sqrt(left))

    def clipped(self, denoised: Array) -> Array:
        """Return ``denoised`` within the range that the settings ask for, if they do."""
        if not self._settings.clip_sample:
            return denoised
        reach = np.float32(self._settings.clip_sample_range)
        return np.clip(denoised, -reach, reach)

    def noised(self, latents: Array, noise: Array, timestep: int) -> Array:
        """Return latents of an image with the noise of a timestep."""
        left = self.left(timestep)
        return np.asarray(np.sqrt(left) * latents + np.sqrt(ONE - left) * noise)


class ByAlphas:
    """A run of a scheduler that reads ``Alphas``: what it does with latents at a step, beside taking it."""

    timesteps: Array  # int64, descending

    def __init__(self, settings: SimpleNamespace) -> None:
        self._settings = settings
        self._alphas = Alphas(alphas_cumprod(settings), settings)
        self.initial_scale = ONE

    def scaled(self, latents: Array, index: int) -> Array:
        """Return the UNet's input: the latents as they are."""
        return latents

    def denoised(self, output: Array, index: int, latents: Array) -> Array:
        """Return the latents without noise that ``output`` predicts."""
        return self._alphas.denoised(output, int(self.timesteps[index]), latents)

    def noised(self, latents: Array, noise: Array, index: int) -> Array:
        """Return latents of an image with as much noise as there is at a step."""
        return self._alphas.noised(latents, noise, int(self.timesteps[index]))
