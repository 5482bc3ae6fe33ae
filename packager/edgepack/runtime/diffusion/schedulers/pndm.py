"""PNDM: Runge-Kutta steps to begin with, linear multistep then; Liu et al., arXiv 2202.09778."""

from __future__ import annotations

import numpy as np

from edgepack.arrays import Array
from edgepack.errors import UsageError
from edgepack.runtime.diffusion.noise import Normal
from edgepack.runtime.diffusion.records import Schedule
from edgepack.runtime.diffusion.schedulers._alphas import ONE, ByAlphas
from edgepack.runtime.diffusion.schedulers._levels import TRAINING, settled, spaced

DEFAULTS = {**TRAINING, "skip_prk_steps": False, "set_alpha_to_one": False, "timestep_spacing": "leading"}
_ORDER = 4  # of both methods


class Pndm(ByAlphas):
    """The steps of one run; see schedulers.Scheduler.

    A step of Runge-Kutta's method is four of these; without them (skip_prk_steps) the first step is taken twice.
    """

    def __init__(self, schedule: Schedule, steps: int) -> None:
        super().__init__(settled(schedule, DEFAULTS))
        self._distance = self._settings.num_train_timesteps // steps
        self._runge_kutta, multistep = self._spaced(steps)
        self.timesteps = np.concatenate([self._runge_kutta, multistep]).astype(np.int64)
        self._taken = 0
        self._outputs: list[Array] = []  # the last four
        self._sum: Array | float = 0.0  # of a Runge-Kutta step's outputs so far
        self._start: Array | None = None  # the latents that such a step began with

    def step(self, output: Array, index: int, latents: Array, normal: Normal) -> Array:
        """Return the next latents."""
        timestep = int(self.timesteps[index])
        taken, self._taken = self._taken, self._taken + 1
        if taken < len(self._runge_kutta):
            return self._by_runge_kutta(output, timestep, latents, taken)
        return self._by_multistep(output, timestep, latents, taken)

    def _spaced(self, steps: int) -> tuple[Array, Array]:
        """Return the timesteps of Runge-Kutta's method and of the other, descending. Raises UsageError."""
        all_ = spaced(self._settings, steps).round().astype(np.int64)
        if self._settings.skip_prk_steps:
            return all_[:0], np.concatenate([all_[:1], all_[1:2], all_[1:]])
        if steps < _ORDER:
            raise UsageError(f"steps is {steps}", hint=f"this model's scheduler needs {_ORDER} or more")
        halves = np.repeat(all_[:_ORDER][::-1], 2) + np.tile([0, self._distance // 2], _ORDER)
        return np.repeat(halves[:-1], 2)[1:-1][::-1], all_[3:]

    def _by_runge_kutta(self, output: Array, timestep: int, latents: Array, taken: int) -> Array:
        part = taken % _ORDER
        if part == 0:
            self._outputs.append(output)
            self._start = latents
        if part == _ORDER - 1:
            output, self._sum = self._sum + np.float32(1 / 6) * output, 0.0
        else:
            self._sum = self._sum + np.float32(1 / 6 if part == 0 else 1 / 3) * output
        assert self._start is not None  # since the first part
        to = timestep - (0 if part % 2 else self._distance // 2)
        return self._moved(self._start, int(self._runge_kutta[taken // _ORDER * _ORDER]), to, output)

    def _by_multistep(self, output: Array, timestep: int, latents: Array, taken: int) -> Array:
        to = timestep - self._distance
        if taken != 1:
            self._outputs = [*self._outputs[-3:], output]
        else:
            to, timestep = timestep, timestep + self._distance
        if taken == 0:
            self._start = latents
        elif taken == 1 and self._start is not None:
            latents, self._start = self._start, None
        return self._moved(latents, timestep, to, self._mixed(output, again=taken == 1))

    def _mixed(self, output: Array, *, again: bool) -> Array:
        """Return the output that the last ones predict (Adams-Bashforth); ``again``: of the first step's second."""
        last = self._outputs
        if len(last) == 1:
            return np.asarray((output + last[-1]) / 2) if again else output
        if len(last) == 2:
            return np.asarray((3 * last[-1] - last[-2]) / 2)
        if len(last) == 3:
            return np.asarray((23 * last[-1] - 16 * last[-2] + 5 * last[-3]) / 12)
        mixed = 55 * last[-1] - 59 * last[-2] + 37 * last[-3] - 9 * last[-4]
        return np.asarray(np.float32(1 / 24) * mixed)

    def _moved(self, latents: Array, timestep: int, to: int, output: Array) -> Array:
        """Return the latents at timestep ``to`` (equation 9)."""
        left, next_left = self._alphas.left(timestep), self._alphas.left(to)
        noise, next_noise = ONE - left, ONE - next_left
        if self._settings.prediction_type == "v_prediction":
            output = np.sqrt(left) * output + np.sqrt(noise) * latents
        divisor = left * np.sqrt(next_noise) + np.sqrt(left * noise * next_left)
        return np.asarray(np.sqrt(next_left / left) * latents - (next_left - left) * output / divisor)
