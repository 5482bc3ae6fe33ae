"""The options of a call, checked before anything is computed."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast, get_args

from edgepack.arrays import Array, Example
from edgepack.documents import Json
from edgepack.errors import InputError, UnknownName, UsageError
from edgepack.runtime import arguments
from edgepack.runtime.diffusion import image_values
from edgepack.runtime.diffusion.noise import Generator
from edgepack.runtime.diffusion.schedulers import ALGORITHMS
from edgepack.runtime.processing import Diffusion, Schedule

_SEEDS = 1 << 63
_TYPED = 1 << 31  # seeds that are chosen, so that a person can type them
_LARGEST = 16_384  # pixels of a side
_IMAGE, _INPAINTING = 0.8, 1.0  # strength where none is asked for, as in diffusers
_WEAKEST = 0.001  # strength: of a thousand steps, the most that there are, one
_TILE = 8  # of the latents, the side of a tile
_OFTEN = 1000  # images of a batch


@dataclass(frozen=True, kw_only=True)
class Source:
    """An image to begin with, uint8 [h, w, 3], and its mask, uint8 [h, w, 1], bright where it is painted anew."""

    pixels: Array
    mask: Array | None
    strength: float

    @property
    def least(self) -> int:
        """The fewest steps of which the strength leaves one to take."""
        steps = math.ceil(1 / self.strength)
        return steps if int(steps * self.strength) else steps + 1

    def start(self, steps: int) -> int:
        """Return the first of ``steps`` to take. Raises UsageError where none is left."""
        if steps < self.least:
            raise UsageError(
                f"strength {self.strength:g} of {steps} {'step' if steps == 1 else 'steps'} leaves no step to take",
                hint=f"take {self.least} steps or more, or a larger strength",
            )
        return steps - int(steps * self.strength)


def prompt(value: Json) -> str:
    """Return ``value``, a text that says something. Raises InputError, UsageError."""
    if not arguments.text("prompt", value).strip():
        raise InputError("the prompt is empty", hint="say what the image shows")
    return str(value)


def source(settings: Diffusion, image: Example | None, mask: Example | None, strength: float | None) -> Source | None:
    """Return the image to begin with; None for images out of nothing. Raises InputError, UsageError."""
    inpaints = settings.unet_channels != settings.latent_channels
    if image is None:
        if mask is not None or strength is not None:
            raise UsageError(
                f"there is a {'mask' if mask is not None else 'strength'} and no image", hint="give the image too"
            )
        if inpaints:
            raise UsageError(
                "this model repaints parts of images: it needs an image and a mask", hint="give image and mask"
            )
        return None
    if inpaints and mask is None:
        raise UsageError(
            "this model repaints parts of images: it needs a mask",
            hint="an image that is bright where the new one is to be painted",
        )
    pixels = image_values.colours(image)
    covered = None if mask is None else image_values.greys(mask)
    if covered is not None:
        image_values.matching(pixels, covered)
    usual = _IMAGE if mask is None else _INPAINTING
    said = f"from {_WEAKEST:g}, where the image stays almost as it is, to 1"
    share = usual if strength is None else arguments.number("strength", strength, said)
    if not _WEAKEST <= share <= 1:
        raise UsageError(f"strength is {share:g}", hint=f"it must be {said}")
    return Source(pixels=pixels, mask=covered, strength=share)


def size(settings: Diffusion, found: Source | None, height: int | None, width: int | None) -> tuple[int, int]:
    """Return height and width: what is asked for, the image's own, or the model's. Raises UsageError."""
    own = (settings.height, settings.width)
    usual = own
    if found is not None and not settings.fixed_size:
        unit = settings.multiple_of
        usual = (max(unit, found.pixels.shape[0] // unit * unit), max(unit, found.pixels.shape[1] // unit * unit))
    made = (_side(settings, "height", height, usual[0]), _side(settings, "width", width, usual[1]))
    if settings.fixed_size and made != own:
        raise UsageError(
            f"images of {made[1]} x {made[0]} pixels are asked for, and this bundle makes {own[1]} x {own[0]}",
            hint="leave width and height out, or build a bundle of another size",
        )
    return made


def seeds(seed: int | Sequence[int] | None, images: int | None) -> tuple[int | list[int], int]:
    """Return the seed of a batch, or one for each image, and how many images there are. Raises UsageError."""
    count = None if images is None else arguments.whole("images", images, 1, f"a whole number from 1 to {_OFTEN:,}")
    if count is not None and count > _OFTEN:
        raise UsageError(f"images is {count:,}", hint=f"it must be a whole number from 1 to {_OFTEN:,}")
    if not isinstance(seed, Sequence) or isinstance(seed, str):
        return (secrets.randbelow(_TYPED) if seed is None else _seed(seed)), 1 if count is None else count
    each = [_seed(one) for one in seed]
    if not each or count not in (None, len(each)):
        raise UsageError(f"there are {len(each)} seeds and {count or 1} images", hint="give one seed for each image")
    return each, len(each)


def generator(name: str) -> Generator:
    """Return the ``name`` of what draws noise. Raises UnknownName."""
    for known in get_args(Generator):
        if name == known:
            return cast(Generator, known)
    raise UnknownName("noise", str(name), get_args(Generator))


def tile(settings: Diffusion, pixels: int | None, size: tuple[int, int], in_bands: bool) -> int | None:
    """Return the ``pixels`` of a tile's side; None where an image of a ``size`` is decoded at once. Raises UsageError.

    ``in_bands``: whether the bundle's decoder can be computed part by part.
    """
    if pixels is None:
        return None
    least = _TILE * settings.vae_scale_factor
    side = arguments.whole("tile", pixels, least, f"a whole number of pixels, {least} or more")
    if side**2 >= size[0] * size[1]:
        return None
    if not in_bands:
        raise UsageError(
            f"tile is {side}, and this bundle decodes images as a whole",
            hint="leave it out; bundles of an AutoencoderKL for ONNX Runtime decode in tiles, but those of fp16",
        )
    return side


def schedule(usual: Schedule, name: str | None) -> Schedule:
    """Return the schedule with another algorithm, where one is named. Raises UnknownName."""
    if name is None:
        return usual
    if name not in ALGORITHMS:
        raise UnknownName("scheduler", str(name), ALGORITHMS)
    return replace(usual, algorithm=name)  # type: ignore[arg-type]  # a name of ALGORITHMS is one of the Literal's


def _side(settings: Diffusion, name: str, value: int | None, usual: int) -> int:
    unit = settings.multiple_of
    said = f"a multiple of {unit} pixels, from {unit} to {_LARGEST:,}"
    side = usual if value is None else arguments.whole(name, value, unit, said)
    if side % unit or side > _LARGEST:
        near = min(max(round(side / unit), 1) * unit, _LARGEST // unit * unit)
        raise UsageError(f"{name} is {side:,}", hint=f"it must be {said}, such as {near:,}")
    return side


def _seed(value: Json) -> int:
    said = "a whole number from 0 to 2^63 - 1"
    made = arguments.whole("seed", value, 0, said)
    if made >= _SEEDS:
        raise UsageError(f"seed is {made}", hint=f"it must be {said}")
    return made
