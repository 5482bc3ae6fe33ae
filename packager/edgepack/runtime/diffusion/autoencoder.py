"""The VAE: images to latents and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from edgepack.arrays import Array, Run
from edgepack.runtime.diffusion import bands
from edgepack.runtime.diffusion.image_values import check_finite, levels
from edgepack.runtime.processing import Diffusion

ENCODER, DECODER = "vae_encoder", "vae_decoder"
_SAMPLE, LATENTS, PARAMETERS = "sample", "latent_sample", "latent_parameters"
_LOGARITHMS = (-30.0, 20.0)  # that the variance's is kept within


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """The latents of an image, float32 [1, channels, height, width], as the UNet reads them.

    They are drawn from a distribution; where an autoencoder gives latents alone, they are its ``mean``.
    """

    mean: Array
    deviation: Array | None

    def drawn(self, draw: Callable[[tuple[int, ...]], Array]) -> Array:
        """Return latents, by noise of one image or of a batch that ``draw`` makes where they are drawn."""
        return self.mean if self.deviation is None else self.mean + self.deviation * draw(self.mean.shape)


def encoded(encoder: Run, values: Array, settings: Diffusion) -> Encoded:
    """Return the latents of float32 [1, 3, height, width] from -1 to 1."""
    found = encoder({_SAMPLE: values})
    shift, scale = _normal(settings)
    if PARAMETERS not in found:
        return Encoded(mean=np.asarray((np.asarray(found[LATENTS], np.float32) - shift) * scale), deviation=None)
    mean, logarithm = np.split(np.asarray(found[PARAMETERS], np.float32), 2, axis=1)
    deviation = np.exp(np.float32(0.5) * np.clip(logarithm, *_LOGARITHMS))
    return Encoded(mean=np.asarray((mean - shift) * scale), deviation=np.asarray(deviation * scale))


def decoded(runs: Mapping[str, Run], latents: Array, settings: Diffusion, tile: int | None) -> Array:
    """Return uint8 [height, width, 3] of latents, float32 [channels, height, width].

    In bands of as many pixels as a ``tile`` of a side has, if any. Raises InputError where they are not finite.
    """
    shift, scale = _normal(settings)
    given = latents[None] / scale + shift
    if tile is None:
        found = runs[DECODER]({LATENTS: given})
    else:
        width = latents.shape[2] * settings.vae_scale_factor
        found = runs[bands.RUN]({bands.LATENTS: given, bands.HEIGHT: np.array(tile**2 // width)})
    image = np.asarray(found[_SAMPLE], np.float32)[0]
    check_finite(image, "the decoder's values")
    return levels(image)


def _normal(settings: Diffusion) -> tuple[Array, Array]:
    """Return what is taken off what the VAE gives, and by what that is multiplied, float32 [channels or 1, 1, 1]."""
    mean = (0.0,) if settings.latents_mean is None else settings.latents_mean
    deviation = (1.0,) if settings.latents_std is None else settings.latents_std
    shift = np.array(mean, np.float32) + np.float32(settings.shift_factor)
    scale = np.float32(settings.scaling_factor) / np.array(deviation, np.float32)
    return shift[:, None, None], scale[:, None, None]
