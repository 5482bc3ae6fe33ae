"""Logarithms of the energy in bands of the mel scale, by the steps of a LogMel record.

The values are those of transformers' ``audio_utils.spectrogram``: float64, but spectra in complex64.
"""

from __future__ import annotations

import numpy as np

from edgepack.arrays import Array
from edgepack.runtime.audio.records import LogMel

_AT_ONCE = 1024  # frames, so that memory does not grow with their number


def log_mel(samples: Array, facts: LogMel, sampling_rate: int) -> Array:
    """Return float32 [frames, mel_bins] of float32 [samples], at least one frame's."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, facts.frame_length)[:: facts.hop_length][: facts.frames]
    triangles = _triangles(facts, sampling_rate)
    made = np.zeros((facts.frames, facts.mel_bins), np.float32)
    for start in range(0, len(frames), _AT_ONCE):
        part = frames[start : start + _AT_ONCE]
        energies = np.square(np.abs(_spectra(part, facts), dtype=np.float64))
        made[start : start + len(part)] = np.log(np.maximum(facts.floor, energies @ triangles))
    return np.asarray((made - facts.mean) / facts.std)


def _spectra(frames: Array, facts: LogMel) -> Array:
    """Return complex64 [frames, fft_length / 2 + 1]."""
    values = frames.astype(np.float64)
    if facts.remove_dc_offset:
        values -= values.mean(axis=1, keepdims=True)
    values[:, 1:] -= facts.preemphasis * values[:, :-1]
    values[:, 0] *= 1 - facts.preemphasis
    return np.fft.rfft(values * np.hanning(facts.frame_length), facts.fft_length).astype(np.complex64)


def _triangles(facts: LogMel, sampling_rate: int) -> Array:
    """Return how much each frequency counts in each band, float64 [fft_length / 2 + 1, mel_bins]."""
    frequencies = _mel(np.arange(facts.fft_length // 2 + 1) * (sampling_rate / facts.fft_length))
    corners = np.linspace(_mel(facts.min_frequency), _mel(facts.max_frequency), facts.mel_bins + 2)
    apart = corners - frequencies[:, None]
    rising, falling = -apart[:, :-2] / np.diff(corners)[:-1], apart[:, 2:] / np.diff(corners)[1:]
    return np.asarray(np.maximum(0, np.minimum(rising, falling)))


def _mel(hertz: Array | float) -> Array:
    return np.asarray(1127.0 * np.log(1.0 + np.asarray(hertz) / 700.0))
