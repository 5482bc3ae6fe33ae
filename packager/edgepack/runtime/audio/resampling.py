"""Another sampling rate: a polyphase filter, a sinc in Kaiser's window as scipy.signal.resample_poly has it."""

from __future__ import annotations

import math

import numpy as np

from edgepack.arrays import Array
from edgepack.errors import InputError

_CROSSINGS = 10  # of zero that the sinc keeps on either side
_BETA = 5.0  # of Kaiser's window
_WIDEST = 100_000  # of the two rates' ratio in lowest terms, by which the filter grows


def resampled(samples: Array, rate: int, wanted: int) -> Array:
    """Return float32 [samples] at the rate ``wanted`` of such an array at ``rate``, both samples per second.

    y[i] is the sum over k of x[k] h[i down - k up], with up / down the rates' ratio. Raises InputError for rates with
    hardly a common divisor.
    """
    shared = math.gcd(rate, wanted)
    up, down = wanted // shared, rate // shared
    if up == down:
        return samples
    if max(up, down) > _WIDEST:
        raise InputError(
            f"a sound of {rate:,} samples per second cannot be brought to {wanted:,} here",
            hint=f"ffmpeg -i sound.wav -ar {wanted} other.wav",
        )
    taps = _filter(up, down)
    half = len(taps) // 2
    made = np.empty(-(-len(samples) * up // down), np.float32)
    before = -(-half // up)
    padded = np.pad(samples.astype(np.float64), (before, half // up + 2))
    for phase in range(min(up, len(made))):
        first = -((half - phase * down) // up)  # the first sample that counts
        own = taps[half + phase * down - first * up :: -up]
        windows = np.lib.stride_tricks.sliding_window_view(padded, len(own))[first + before :: down]
        made[phase::up] = windows[: len(made[phase::up])] @ own
    return made


def _filter(up: int, down: int) -> Array:
    """Return h, float64, its middle in the middle: cut off at half the lower rate, of gain ``up``."""
    widest = max(up, down)
    places = np.arange(-_CROSSINGS * widest, _CROSSINGS * widest + 1)
    taps = np.sinc(places / widest) * np.kaiser(len(places), _BETA)
    return np.asarray(taps * (up / taps.sum()))
