"""How the submodels of a pipeline are timed: as the loop runs them for an image with the model's usual settings."""

from __future__ import annotations

import re

import numpy as np

from edgepack.arrays import Array, Feeds
from edgepack.errors import InputError
from edgepack.records import TensorSpec
from edgepack.runtime.diffusion.autoencoder import DECODER, ENCODER
from edgepack.runtime.diffusion.denoising import TIMESTEP
from edgepack.runtime.diffusion.prompts import INPUT as IDS
from edgepack.runtime.diffusion.safety import CHECKER
from edgepack.runtime.diffusion.schedulers import scheduler
from edgepack.runtime.processing import Diffusion, Processing, Schedule
from edgepack.runtime.submodel import UNET, Submodel

_TIME = 500.0  # a step in the middle; which makes no difference to the time
_PIXELS = (ENCODER,)  # that take pixels and not latents


def shape(processing: Processing, submodel: Submodel) -> str:
    """Return "1x77" for a prompt of 77 tokens, or the size of an image in pixels, width first: "512x512"."""
    settings = processing.section(Diffusion)
    return f"1x{_length(settings, submodel.name)}" if _reads(submodel) else f"{settings.width}x{settings.height}"


def feeds(processing: Processing, submodel: Submodel, shape: str) -> Feeds:
    """Make inputs for a prompt or an image; of guided steps the UNet's are a batch of two. Raises InputError."""
    settings = processing.section(Diffusion)
    if _reads(submodel):
        length = _length(settings, submodel.name)
        if shape != f"1x{length}":
            raise InputError(f"no input {shape!r}", hint=f'prompts are timed with "1x{length}"')
        return {spec.name: _made(spec, (1, length)) for spec in submodel.inputs}
    height, width = _size(settings, shape)
    unit = 1 if submodel.name in _PIXELS else settings.vae_scale_factor
    batch = 2 if submodel.name == UNET and guided(settings) else 1
    tokens = max(encoder.max_length for encoder in settings.encoders)
    sizes = {4: (batch, 1, height // unit, width // unit), 3: (batch, tokens, 1), 2: (batch, 1)}
    return {spec.name: _made(spec, sizes.get(len(spec.shape), ())) for spec in submodel.inputs}


def pixels(processing: Processing, submodel: Submodel) -> int:
    """Return how many pixels the images of ``feeds`` have at the usual size, of the whole batch; 0 of what takes none
    of their size.
    """
    if _reads(submodel) or submodel.name == CHECKER:
        return 0
    settings = processing.section(Diffusion)
    batch = 2 if submodel.name == UNET and guided(settings) else 1
    return batch * settings.height * settings.width


def calls(processing: Processing, name: str) -> int:
    """Return how often an image takes a submodel, with the usual steps and guidance.

    It is made of a prompt alone, or by a UNet of inpainting of an image too, which is encoded once.
    """
    settings = processing.section(Diffusion)
    if name == UNET:
        return len(scheduler(processing.section(Schedule), settings.steps).timesteps)
    if name in (DECODER, CHECKER) or (name == ENCODER and settings.unet_channels != settings.latent_channels):
        return 1
    if name in [encoder.submodel for encoder in settings.encoders]:
        return 2 if guided(settings) and not settings.zeros_for_empty_prompt else 1
    return 0


def _reads(submodel: Submodel) -> bool:
    return any(spec.name == IDS for spec in submodel.inputs)


def _length(settings: Diffusion, name: str) -> int:
    return next(encoder.max_length for encoder in settings.encoders if encoder.submodel == name)


def guided(settings: Diffusion) -> bool:
    """Return whether a step takes two predictions, as the loop does."""
    return settings.guidance > 1 and settings.timestep_cond is None


def _size(settings: Diffusion, shape: str) -> tuple[int, int]:
    """Return height and width. Raises InputError."""
    match, unit = re.fullmatch(r"(\d{1,5})x(\d{1,5})", shape), settings.multiple_of
    width, height = map(int, match.groups()) if match else (0, 0)
    own = (settings.height, settings.width)
    if not width * height or width % unit or height % unit or (settings.fixed_size and (height, width) != own):
        said = "" if settings.fixed_size else f", or other multiples of {unit}"
        raise InputError(f"no input {shape!r}", hint=f"write the image's width x height, {own[1]}x{own[0]}{said}")
    return height, width


def _made(spec: TensorSpec, sizes: tuple[int, ...]) -> Array:
    """Return an input with ``sizes`` for the sides that have names: values from -1 to 1, or ids of any vocabulary."""
    sides = [side if isinstance(side, int) else size for side, size in zip(spec.shape, sizes, strict=True)]
    values: Array = np.linspace(-1, 1, int(np.prod(sides)))
    if spec.name == IDS:
        values = 1.0 + np.arange(len(values)) * 7 % 97
    elif spec.name == TIMESTEP:
        values = np.full(len(values), _TIME)
    return values.reshape(sides).astype(spec.dtype)
