"""Schedulers of latent diffusion: by which timesteps noise is taken away, and how; those of diffusers in numpy.

All compute in float32 and in diffusers' order of operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple, Protocol

import numpy as np

from edgepack.arrays import Array
from edgepack.errors import BundleError, UsageError
from edgepack.runtime.diffusion.noise import Normal
from edgepack.runtime.diffusion.records import Schedule
from edgepack.runtime.diffusion.schedulers import ddim, dpm_solver_multistep, euler, euler_ancestral, lcm, pndm

__all__ = ["ALGORITHMS", "Scheduler", "check", "nearest_steps", "scheduler"]


class Scheduler(Protocol):
    """The steps of one run, to be taken in their order: what earlier steps gave is remembered.

    ``index`` counts ``timesteps``. Latents, noise and the UNet's outputs are float32 [batch, channels, height, width].
    """

    @property
    def timesteps(self) -> Array:
        """The timesteps that the UNet is told, int64 or float32 [steps]; descending."""

    @property
    def initial_scale(self) -> np.float32:
        """The number by which noise of variance one is multiplied to begin with."""

    def scaled(self, latents: Array, index: int) -> Array:
        """Return the UNet's input."""

    def denoised(self, output: Array, index: int, latents: Array) -> Array:
        """Return the latents without noise that the UNet's ``output`` predicts."""

    def step(self, output: Array, index: int, latents: Array, normal: Normal) -> Array:
        """Return the next latents, with new noise of ``normal`` where the algorithm adds some."""

    def noised(self, latents: Array, noise: Array, index: int) -> Array:
        """Return latents of an image with as much noise as there is at a step."""


class Algorithm(NamedTuple):
    """The function that makes the scheduler of a run, and the kinds of predictions that it can work with."""

    make: Callable[[Schedule, int], Scheduler]
    predictions: tuple[str, ...] = ("epsilon", "v_prediction", "sample")


ALGORITHMS: Mapping[str, Algorithm] = {
    "ddim": Algorithm(ddim.Ddim),
    "dpm_solver_multistep": Algorithm(dpm_solver_multistep.DpmSolverMultistep),
    "euler": Algorithm(euler.Euler),
    "euler_ancestral": Algorithm(euler_ancestral.EulerAncestral, ("epsilon", "v_prediction")),
    "lcm": Algorithm(lcm.Lcm),
    "pndm": Algorithm(pndm.Pndm, ("epsilon", "v_prediction")),
}


def check(schedule: Schedule) -> None:
    """Raises BundleError for settings that go together in no scheduler."""
    predicted = schedule.prediction_type or "epsilon"
    if predicted not in ALGORITHMS[schedule.algorithm].predictions:
        raise BundleError(
            f"the scheduler {schedule.algorithm} cannot work with prediction_type {predicted!r}",
            hint=f"choose another scheduler: {', '.join(sorted(ALGORITHMS))}",
        )
    spaced = [name for name in ("karras", "exponential") if getattr(schedule, f"use_{name}_sigmas")]
    if len(spaced) > 1:
        raise BundleError(
            "the schedule sets use_karras_sigmas and use_exponential_sigmas",
            hint="one of the two: correct scheduler_config.json and build it again",
        )


def scheduler(schedule: Schedule, steps: int, strength: float | None = None, *, start: int = 0) -> Scheduler:
    """Make the scheduler of a run of ``steps``, of which those from ``start`` on are taken; with a ``strength`` that of
    lcm, for all steps up to there.

    Raises BundleError, UsageError for steps that cannot be.
    """
    check(schedule)
    total = schedule.num_train_timesteps or 1000
    if not 1 <= steps <= total:
        raise UsageError(f"steps is {steps:,}", hint=f"it must be a whole number from 1 to {total:,}")
    made = (
        ALGORITHMS[schedule.algorithm].make(schedule, steps) if strength is None else lcm.Lcm(schedule, steps, strength)
    )
    if (first := made.timesteps[start:].max()) >= total:
        raise UsageError(
            f"{steps:,} steps begin at timestep {first:,}, which the model does not know",
            hint="take fewer steps",
        )
    return made


def nearest_steps(schedule: Schedule, steps: int) -> int:
    """Return the number of steps nearest to ``steps`` that a run may have. Raises BundleError, UsageError for none."""
    total = schedule.num_train_timesteps or 1000
    for count in sorted(range(1, total + 1), key=lambda count: abs(count - steps)):
        with suppress(UsageError):
            scheduler(schedule, count)
            return count
    raise UsageError("the schedule can take no number of steps", hint="correct scheduler_config.json")
