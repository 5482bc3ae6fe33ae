"""A prompt to images, by diffusion of latents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np

from edgepack.arrays import Array, Example, Feeds, Run
from edgepack.errors import BundleDamaged, DoesNotFit, UsageError
from edgepack.runtime import arguments
from edgepack.runtime.diffusion import autoencoder, bands, guidance, requests, safety
from edgepack.runtime.diffusion.autoencoder import DECODER, ENCODER
from edgepack.runtime.diffusion.beginning import Beginning
from edgepack.runtime.diffusion.denoising import GUIDANCE, TIME_IDS, Denoising, Step
from edgepack.runtime.diffusion.image_values import GeneratedImage
from edgepack.runtime.diffusion.memory import Budget
from edgepack.runtime.diffusion.noise import Draws
from edgepack.runtime.diffusion.prompts import Condition, Prompts
from edgepack.runtime.diffusion.schedulers import Scheduler
from edgepack.runtime.diffusion.schedulers import scheduler as make_scheduler
from edgepack.runtime.one_at_a_time import OneAtATime
from edgepack.runtime.processing import Diffusion, Processing, Schedule
from edgepack.runtime.submodel import UNET as UNET

SUBMODELS = (UNET, DECODER)
OPTIONAL = ("text_encoder", "text_encoder_2", ENCODER, safety.CHECKER)
_APART = 4096  # pixels of latents, beyond which a batch of two takes as long as two of one, and twice the memory


class Model:
    """``generate(prompt)``: images of what a prompt says.

    Submodels are looked up in ``runs`` when they are needed, one after the other: the text encoders, the VAE's
    encoder, the UNet, the VAE's decoder, the safety checker. A mapping may open one and close the one before.
    """

    def __init__(self, runs: Mapping[str, Run], folder: Path, processing: Processing) -> None:
        self._runs, self._folder, self._processing = runs, folder, processing
        self._budget: Budget | None = None
        self._thrifty = isinstance(runs, OneAtATime)
        # which take what the loop makes, and have no calls of their own
        self.submodels = dict.fromkeys((*SUBMODELS, *OPTIONAL))

    def limit(self, budget: Budget) -> None:
        """Make images within a ``budget``. Raises DoesNotFit where one of the usual size has no room in it."""
        size = self._settings.height, self._settings.width
        budget.levers(size, guided=self._is_guided(self._settings.guidance))
        self._budget = budget

    def generate(
        self,
        prompt: str,
        *,
        negative_prompt: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        width: int | None = None,
        height: int | None = None,
        seed: int | Sequence[int] | None = None,
        noise: str = "torch",
        images: int | None = None,
        image: Example | None = None,
        strength: float | None = None,
        mask: Example | None = None,
        scheduler: str | None = None,
        clip_skip: int = 0,
        tile: int | None = None,
        together: bool | None = None,
        progress: Callable[[Step], object] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> list[GeneratedImage]:
        """Return as many images as ``images`` says, or none where ``stop`` returns True.

        It is asked before each step, and before the last latents are decoded.

        They begin with an ``image`` (a uint8 array, a path or a file's bytes) where there is one: ``strength`` 1 leaves
        nothing of it, near 0 all. With a ``mask`` of its size they are painted where that is bright. ``seed`` gives the
        noise that diffusers draws with ``torch.Generator("cpu").manual_seed(seed)`` for a whole batch; a list of
        seeds has one for each image. With ``noise="numpy"`` it is that of ``numpy.random.RandomState``, which Apple's
        package can draw too. What is None is as usual for the model; the seed is random then.

        ``scheduler`` names one of ddim, dpm_solver_multistep, euler, euler_ancestral, lcm, pndm. ``clip_skip`` leaves
        out so many more of the text encoders' last layers. ``tile``, in pixels, decodes in bands of as many pixels as a
        tile of that side has, and ``together=False`` makes the two predictions of a guided step one after the other, as
        is usual for large images where submodels are opened one at a time: both take less memory, and change nothing
        that is seen.

        Warns of the part of a prompt that the model has no room for. Raises InputError (a prompt that is empty, an
        image that is none, a mask of another size, an image that the safety checker refuses, latents that are not
        finite), UsageError.
        """
        words = requests.prompt(prompt)
        without = None if negative_prompt is None else arguments.text("negative_prompt", negative_prompt)
        source = requests.source(self._settings, image, mask, strength)
        size = requests.size(self._settings, source, height, width)
        seed, count = requests.seeds(seed, images)
        generator = requests.generator(noise)
        side = requests.tile(self._settings, tile, size, bands.RUN in self._runs)
        clip_skip = arguments.whole("clip_skip", clip_skip, 0)
        together = self._together(size) if together is None else arguments.switch("together", together)
        scale = self._guidance(guidance)
        chosen = requests.schedule(self._processing.section(Schedule), scheduler)
        steps = self._steps(chosen, source) if steps is None else arguments.whole("steps", steps, 1)
        schedule, start = self._schedule(chosen, source, steps)

        if self._budget is not None:
            levers = self._budget.levers(size, count, guided=self._is_guided(scale), begun=source is not None)
            together, side = together and levers.together, levers.tile if side is None else side

        with _fitting():
            positive, negative = self._conditions(words, without, scale, clip_skip, count)
            if self._thrifty:
                del self._prompts  # whose tokenizers take tens of megabytes
            draws = Draws(seed, generator)
            beginning = Beginning(settings=self._settings, runs=self._runs, schedule=schedule, start=start, draws=draws)
            latents, inpainting = beginning.latents(source, size, count)
            denoising = Denoising(
                unet=self._runs[UNET],
                scheduler=schedule,
                positive=positive,
                negative=negative,
                guidance=scale,
                rescale=self._settings.guidance_rescale,
                extra=self._extra(scale, size),
                normal=draws,
                inpainting=inpainting,
                together=together,
                rows=self._settings.preview,
                progress=progress,
                stop=stop,
            )
            made = denoising.run(latents, start)
            del denoising  # so that the UNet can be closed before the decoder is opened
            return [] if made is None else self._images(made, seed, side)

    def _schedule(self, chosen: Schedule, source: requests.Source | None, steps: int) -> tuple[Scheduler, int]:
        """Return the scheduler, and the first of its steps that is taken."""
        if source is None:
            return make_scheduler(chosen, steps), 0
        if self._takes_all(chosen):
            return make_scheduler(chosen, steps, source.strength), 0
        start = source.start(steps)
        return make_scheduler(chosen, steps, start=start), start

    def _steps(self, chosen: Schedule, source: requests.Source | None) -> int:
        """Return the usual steps, or as many as leave one to take where a run begins with an image."""
        usual = self._settings.steps
        return usual if source is None or self._takes_all(chosen) else max(usual, source.least)

    def _takes_all(self, chosen: Schedule) -> bool:
        """Return whether a run that begins with an image takes all steps."""
        return self._settings.all_steps and chosen.algorithm == "lcm"

    @property
    def repaints(self) -> bool:
        """True if it paints parts of images anew, and needs an image and a mask."""
        return self._settings.unet_channels != self._settings.latent_channels

    def predict(self, examples: Sequence[str]) -> list[GeneratedImage]:
        """Return an image of each prompt, with the options that ``generate`` has by default."""
        return [made for prompt in examples for made in self.generate(prompt)]

    @cached_property
    def _settings(self) -> Diffusion:
        """The settings. Raises BundleDamaged where they do not go together, or the submodels are not all there."""
        settings = self._processing.section(Diffusion)
        needed = {*(encoder.submodel for encoder in settings.encoders), UNET, DECODER} - set(self._runs)
        if self._runs and needed:
            raise BundleDamaged(f"{self._folder.name} lacks the submodel {min(needed)!r}, which its task needs")
        if settings.multiple_of % settings.vae_scale_factor:
            raise BundleDamaged(
                f"the manifest has images in multiples of {settings.multiple_of} pixels and latents of "
                f"{settings.vae_scale_factor}"
            )
        return settings

    @cached_property
    def _prompts(self) -> Prompts:
        return Prompts(self._folder, self._settings.encoders)

    def _guidance(self, value: float | None) -> float:
        if value is None:
            return self._settings.guidance
        said = f"a number from 0 to {guidance.STRONGEST:,}; 7.5 is usual"
        made = arguments.number("guidance", value, said)
        if not 0 <= made <= guidance.STRONGEST:
            raise UsageError(f"guidance is {made:g}", hint=f"it must be {said}")
        return made

    def _is_guided(self, scale: float) -> bool:
        """Return whether a step takes two predictions."""
        return scale > 1 and self._settings.timestep_cond is None

    def _together(self, size: tuple[int, int]) -> bool:
        """Return whether both predictions of a guided step for an image of a height and width are made in one batch."""
        latents = size[0] * size[1] // self._settings.vae_scale_factor**2
        return not self._thrifty or self._settings.fixed_size or latents < _APART

    def _conditions(
        self, prompt: str, without: str | None, scale: float, clip_skip: int, count: int
    ) -> tuple[Condition, Condition | None]:
        """Return the batch's conditions, and of guided steps the negative ones."""
        if not self._is_guided(scale):
            (positive,) = self._prompts.conditions(self._runs, [prompt], clip_skip)
            return positive.repeated(count), None
        if without is None and self._settings.zeros_for_empty_prompt:
            (positive,) = self._prompts.conditions(self._runs, [prompt], clip_skip)
            negative = positive.zeros()
        else:
            positive, negative = self._prompts.conditions(self._runs, [prompt, without or ""], clip_skip)
        return positive.repeated(count), negative.repeated(count)

    def _extra(self, scale: float, size: tuple[int, int]) -> Feeds:
        """Return the UNet's inputs beside the usual, float32 [1, width]."""
        extra: Feeds = {}
        if self._settings.timestep_cond is not None:
            extra[GUIDANCE] = guidance.embedded(scale, self._settings.timestep_cond, 1)
        if self._settings.time_ids:
            extra[TIME_IDS] = np.array([[*size, 0, 0, *size]], np.float32)  # original size, crop's corner, size
        return extra

    def _images(self, latents: Array, seed: int | list[int], side: int | None) -> list[GeneratedImage]:
        made = [
            GeneratedImage(
                pixels=autoencoder.decoded(self._runs, one, self._settings, side),
                latents=one,
                seed=seed if isinstance(seed, int) else seed[index],
                index=index,
            )
            for index, one in enumerate(latents)
        ]
        if safety.CHECKER in self._runs:
            safety.check(self._runs[safety.CHECKER], self._processing, made)
        return made


@contextmanager
def _fitting() -> Iterator[None]:
    """Raises DoesNotFit where memory is short."""
    try:
        yield
    except (DoesNotFit, MemoryError) as error:
        raise DoesNotFit(
            "there is not enough memory to make this image",
            hint="a smaller size needs less, and so do --tile 128 (tile=128) and together=False",
        ) from error
