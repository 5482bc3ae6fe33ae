"""The VAE: images to latents and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edgepack.arrays import Array, Run
from edgepack.runtime.diffusion import bands
from edgepack.runtime.diffusion.image_values import levels
from edgepack.runtime.processing import Diffusion

ENCODER, DECODER = "vae_encoder", "vae_decoder"
_SAMPLE, LATENTS, PARAMETERS = "sample", "latent_sample", "latent_parameters"
_LOGARITHMS = (-30.0, 20.0)  # that the variance's is kept within


def encoded(encoder: Run, values: Array, draw: Callable[[tuple[int, ...]], Array], settings: Diffusion) -> Array:
    """Return latents of float32 [1, 3, height, width] from -1 to 1, drawn from the distribution that the encoder gives.

    ``draw`` makes the noise, of one image or of a batch, which is then that of the latents.
    """
    mean, logarithm = np.split(np.asarray(encoder({_SAMPLE: values})[PARAMETERS], np.float32), 2, axis=1)
    deviation = np.exp(np.float32(0.5) * np.clip(logarithm, *_LOGARITHMS))
    latents = mean + deviation * draw(mean.shape)
    return np.asarray((latents - np.float32(settings.shift_factor)) * np.float32(settings.scaling_factor))


def decoded(runs: Mapping[str, Run], latents: Array, settings: Diffusion, tile: int | None) -> Array:
    """Return uint8 [height, width, 3] of latents, float32 [channels, height, width].

    In bands of as many pixels as a ``tile`` of a side has, if any.
    """
    given = latents[None] / np.float32(settings.scaling_factor) + np.float32(settings.shift_factor)

    if tile is None:
        found = runs[DECODER]({LATENTS: given})
    else:
        width = latents.shape[2] * settings.vae_scale_factor
        found = runs[bands.RUN]({bands.LATENTS: given, bands.HEIGHT: np.array(tile**2 // width)})
    return levels(np.asarray(found[_SAMPLE], np.float32)[0])
