"""The denoising loop: latents from noise to none, a step at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgepack.arrays import Array, Feeds, Run
from edgepack.runtime.diffusion.guidance import guided
from edgepack.runtime.diffusion.image_values import check_finite, levels
from edgepack.runtime.diffusion.noise import Normal
from edgepack.runtime.diffusion.prompts import Condition
from edgepack.runtime.diffusion.schedulers import Scheduler

SAMPLE, TIMESTEP, HIDDEN, OUTPUT = "sample", "timestep", "encoder_hidden_states", "out_sample"
GUIDANCE, POOLED, TIME_IDS = "timestep_cond", "text_embeds", "time_ids"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step that was taken: the ``index`` of ``count``, from 0."""

    index: int
    count: int
    timestep: float
    latents: Array  # after it, float32 [batch, channels, height, width]
    denoised: Array  # the latents without noise that the UNet predicts, of the same shape
    rows: tuple[tuple[float, ...], ...]  # Diffusion.preview

    def preview(self) -> Array | None:
        """Return small images of what is coming, uint8 [batch, height, width, 3], a pixel for one of the latents.

        None of a bundle that has no colours for its latents.
        """
        if not self.rows:
            return None
        rows = np.asarray(self.rows, np.float32)
        coloured = np.einsum("rc,bchw->brhw", rows[:, :-1], self.denoised) + rows[:, -1, None, None]
        return np.stack([levels(one) for one in coloured])


@dataclass(frozen=True, kw_only=True)
class Inpainting:
    """A part of an image that is kept: ``mask``, float32 [1, 1, height, width], is 1 where something new is painted.

    A UNet of inpainting is told the mask and the image around it, ``told``, float32 [1, channels, height, width].
    Any other is given the image's latents, ``kept``, as noisy as its own, in the place of what it painted there.
    """

    mask: Array
    told: Array | None = None
    kept: Array | None = None
    noise: Array | None = None  # of the batch, that the latents are mixed with


@dataclass(frozen=True, kw_only=True)
class Denoising:
    """All that does not change from step to step.

    ``guidance`` above 1 needs ``negative``; ``extra`` are the UNet's inputs beside the usual, float32 [1, width].
    ``together``: both predictions of a guided step are made in one batch, which is faster and takes more memory.
    """

    unet: Run
    scheduler: Scheduler
    positive: Condition  # of the batch
    negative: Condition | None
    guidance: float
    rescale: float
    extra: Feeds
    normal: Normal
    inpainting: Inpainting | None = None
    together: bool = True
    rows: tuple[tuple[float, ...], ...] = ()
    progress: Callable[[Step], object] | None = None
    stop: Callable[[], bool] | None = None

    def run(self, latents: Array, start: int = 0) -> Array | None:
        """Return the latents after all steps from ``start`` on; None where ``stop`` said so.

        Raises InputError where they are not finite any more.
        """
        timesteps = self.scheduler.timesteps
        for index in range(start, len(timesteps)):
            if self._stopped():
                return None
            output = self._predicted(latents, index)
            denoised = self.scheduler.denoised(output, index, latents) if self.progress is not None else latents
            latents = self._kept(self.scheduler.step(output, index, latents, self.normal), index)
            check_finite(latents, f"the latents after step {index - start + 1} of {len(timesteps) - start}")
            if self.progress is not None:
                self.progress(
                    Step(
                        index=index - start,
                        count=len(timesteps) - start,
                        timestep=float(timesteps[index]),
                        latents=latents,
                        denoised=denoised,
                        rows=self.rows,
                    )
                )
        return None if self._stopped() else latents

    def _stopped(self) -> bool:
        return self.stop is not None and self.stop()

    def _predicted(self, latents: Array, index: int) -> Array:
        sample = self.scheduler.scaled(latents, index)
        if self.inpainting is not None and self.inpainting.told is not None:
            told = np.repeat(self.inpainting.told, len(sample), axis=0)
            sample = np.concatenate([sample, told], axis=1)
        if self.negative is None:
            return self._output(sample, index, self.positive)
        if self.together:
            both = self._output(np.concatenate([sample, sample]), index, self.positive.behind(self.negative))
            without, prompted = np.split(both, 2)
        else:
            without, prompted = (self._output(sample, index, one) for one in (self.negative, self.positive))
        return guided(without, prompted, self.guidance, self.rescale)

    def _output(self, sample: Array, index: int, condition: Condition) -> Array:
        feeds = {
            SAMPLE: sample,
            TIMESTEP: np.asarray(self.scheduler.timesteps[index]),
            HIDDEN: condition.hidden,
            **{name: np.repeat(value, len(sample), axis=0) for name, value in self.extra.items()},
        }
        if condition.pooled is not None:
            feeds[POOLED] = condition.pooled
        return np.asarray(self.unet(feeds)[OUTPUT], np.float32)

    def _kept(self, latents: Array, index: int) -> Array:
        """Return the latents with the image's own outside of the mask, where the UNet is not told of it."""
        inpainting = self.inpainting
        if inpainting is None or inpainting.kept is None or inpainting.noise is None:
            return latents
        kept, mask = inpainting.kept, inpainting.mask
        if index + 1 < len(self.scheduler.timesteps):
            kept = self.scheduler.noised(kept, inpainting.noise, index + 1)
        return np.asarray((np.float32(1) - mask) * kept + mask * latents)
