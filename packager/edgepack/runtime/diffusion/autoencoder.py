"""The VAE: images to latents and back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgepack.arrays import Array, Run
from edgepack.runtime.diffusion import tiles
from edgepack.runtime.diffusion.image_values import levels
from edgepack.runtime.processing import Diffusion

ENCODER, DECODER = "vae_encoder", "vae_decoder"
_SAMPLE, _LATENTS, _PARAMETERS = "sample", "latent_sample", "latent_parameters"
_LOGARITHMS = (-30.0, 20.0)  # that the variance's is kept within


def encoded(encoder: Run, values: Array, draw: Callable[[tuple[int, ...]], Array], settings: Diffusion) -> Array:
    """Return latents of float32 [1, 3, height, width] from -1 to 1, drawn from the distribution that the encoder gives.

    ``draw`` makes the noise, of one image or of a batch, which is then that of the latents.
    """
    mean, logarithm = np.split(np.asarray(encoder({_SAMPLE: values})[_PARAMETERS], np.float32), 2, axis=1)
    deviation = np.exp(np.float32(0.5) * np.clip(logarithm, *_LOGARITHMS))
    latents = mean + deviation * draw(mean.shape)
    return np.asarray((latents - np.float32(settings.shift_factor)) * np.float32(settings.scaling_factor))


def decoded(decoder: Run, latents: Array, settings: Diffusion, tile: int | None) -> Array:
    """Return uint8 [height, width, 3] of latents, float32 [channels, height, width], in tiles of a side, if any."""
    given = latents[None] / np.float32(settings.scaling_factor) + np.float32(settings.shift_factor)

    def decode(part: Array) -> Array:
        return np.asarray(decoder({_LATENTS: part})[_SAMPLE], np.float32)

    return levels((decode(given) if tile is None else tiles.decoded(decode, given, tile))[0])
