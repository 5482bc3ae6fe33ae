"""How a run begins: with noise, with an image, with an image of which a part is painted anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgepack.arrays import Array, Run
from edgepack.errors import UsageError
from edgepack.runtime.diffusion import autoencoder, image_values
from edgepack.runtime.diffusion.autoencoder import ENCODER, Encoded
from edgepack.runtime.diffusion.denoising import Inpainting
from edgepack.runtime.diffusion.noise import Draws
from edgepack.runtime.diffusion.requests import Source
from edgepack.runtime.diffusion.schedulers import Scheduler
from edgepack.runtime.processing import Diffusion


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """The latents that the first step takes, ``start`` of the ``schedule``; ``runs`` hold the encoder of images."""

    settings: Diffusion
    runs: Mapping[str, Run]
    schedule: Scheduler
    start: int
    draws: Draws

    def latents(self, source: Source | None, size: tuple[int, int], count: int) -> tuple[Array, Inpainting | None]:
        """Return ``count`` latents for images of a height and width, float32 [count, channels, h, w], and what is kept
        of an image where it has a mask; noise is drawn in diffusers' order.

        Raises UsageError for an image where the bundle has no encoder.
        """
        factor = self.settings.vae_scale_factor
        shape = (count, self.settings.latent_channels, size[0] // factor, size[1] // factor)
        if source is None:
            return self.draws(shape) * self.schedule.initial_scale, None
        values = image_values.values(source.pixels, *size)
        if source.mask is None:
            return self._from_image(values, shape), None
        return self._repainting(values, image_values.mask(source.mask, *size), shape, source.strength)

    def _from_image(self, values: Array, shape: tuple[int, ...]) -> Array:
        draws = self.draws
        latents = self._encoded(values).drawn(lambda one: draws(shape if draws.one_each else one))
        return self.schedule.noised(latents, draws(shape), self.start)

    def _repainting(
        self, values: Array, mask: Array, shape: tuple[int, ...], strength: float
    ) -> tuple[Array, Inpainting]:
        """Return the same for an image and a mask float32 [1, 1, height, width] of 0 and 1."""
        tells = self.settings.unet_channels != self.settings.latent_channels
        seen = self._encoded(values) if not tells or strength < 1 else None
        whole = None if seen is None else seen.drawn(self.draws.first)
        noise = self.draws(shape)
        latents = noise * self.schedule.initial_scale
        if whole is not None and strength < 1:
            latents = self.schedule.noised(np.repeat(whole, shape[0], axis=0), noise, self.start)
        factor = self.settings.vae_scale_factor
        small = mask[:, :, ::factor, ::factor]
        if tells:
            around = self._encoded(values * (mask == 0)).drawn(self.draws.first)
            return latents, Inpainting(mask=small, told=np.concatenate([small, around], axis=1))
        if seen is not None:
            seen.drawn(self.draws.first)  # diffusers encodes what is around the mask here too, and has no use for it
        return latents, Inpainting(mask=small, kept=whole, noise=noise)

    def _encoded(self, values: Array) -> Encoded:
        if ENCODER not in self.runs:
            raise UsageError(
                "this bundle cannot start from an image: it has no image encoder",
                hint="build it again, with an edgepack that builds one",
            )
        return autoencoder.encoded(self.runs[ENCODER], values, self.settings)
