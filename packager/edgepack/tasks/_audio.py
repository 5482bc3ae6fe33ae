"""Parts of the audio tasks: how sounds become inputs, and sounds that edgepack makes."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from edgepack.arrays import Array, Example, Feeds, TaskModel
from edgepack.documents import Json
from edgepack.runtime.processing import Audio

_SOUNDS = 32
_SECONDS = (0.2, 1.6)  # of a waveform; log-mel features are of one size, whatever a sound's
_PROOF = 0.25  # seconds of golden vectors' sounds: enough to notice a wrong kernel, small beside the model
_VECTORS = 4
_FULL = 32_767  # of 16 bits


def sounds(audio: Audio) -> list[Example]:
    """Make seeded sounds, float32 [samples], some as a WAV file's bytes: tones, sweeps, noise and clicks.

    At odd places, which measure agreement and do not calibrate, are some that show a mistake: the shortest that the
    model takes, silence, a constant, one that is clipped, and files of every form, with two channels and other rates.
    """
    rng, rate = np.random.default_rng(0), audio.sampling_rate
    made: list[Example] = [_sound(rng, rate, float(rng.uniform(*_SECONDS))) for _ in range(_SOUNDS)]
    odd: list[Example] = [
        _noise(rng, audio.min_samples),
        np.zeros(max(rate // 2, audio.min_samples), np.float32),
        _sound(rng, rate, 0.5) * np.float32(0.01) + np.float32(0.1),
        np.clip(_sound(rng, rate, 0.5) * 20, -1, 1),
        wav(_sound(rng, rate, 0.5)[:, None], rate),
        wav(np.stack([_sound(rng, rate, 0.5), _sound(rng, rate, 0.5)], axis=1), rate),
        wav(_sound(rng, 44_100, 0.5)[:, None], 44_100),
    ]
    made[1 : 2 * len(odd) : 2] = odd
    return made


def example(value: Json) -> Example:
    """Return a data set's sound: a path, or a list of samples at the model's rate."""
    return np.asarray(value, np.float32) if isinstance(value, list) else value


def batches(model: TaskModel, examples: Sequence[Example], *, use: str = "") -> list[Feeds]:
    """Return the feeds of each sound, made by the shipping pre-processing: sounds of different lengths share none."""
    return [model.feeds([sound]) for sound in examples]


def golden(model: TaskModel, examples: Sequence[Example]) -> list[tuple[Example, Feeds]]:
    """Return a few sounds, each with its feeds: short ones, the last of two channels and another rate, as a file."""
    rng, rate = np.random.default_rng(1), model.audio.sampling_rate
    seconds = max(_PROOF, model.audio.min_samples / rate)
    chosen: list[Example] = [_sound(rng, rate, seconds) for _ in range(_VECTORS - 1)]
    chosen.append(wav(np.stack([_sound(rng, 22_050, seconds) for _ in range(2)], axis=1), 22_050))
    return [(sound, model.feeds([sound])) for sound in chosen]


def wav(samples: Array, rate: int) -> bytes:
    """Return a WAV file of 16 bits of float [samples, channels], -1 to 1."""
    data: bytes = np.clip(np.rint(samples * _FULL), -_FULL, _FULL).astype("<i2").tobytes()
    step = 2 * samples.shape[1]
    form = struct.pack("<HHIIHH", 1, samples.shape[1], rate, rate * step, step, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _sound(rng: np.random.Generator, rate: int, seconds: float) -> Array:
    """Return float32 [samples] with a peak of 0.1 to 0.9: some of a tone with overtones, a sweep, noise and clicks."""
    time = np.arange(int(np.ceil(rate * seconds))) / rate
    length = time[-1] if len(time) > 1 else 1.0
    tone, low, high = rng.uniform(80, 800), *sorted(rng.uniform(100, 0.45 * rate, 2))
    overtones = sum(np.sin(2 * np.pi * k * tone * time) / k for k in range(1, 5))
    swept = np.sin(2 * np.pi * (low * time + (high - low) / (2 * length) * time**2))
    swelling = 0.5 - 0.5 * np.cos(2 * np.pi * rng.uniform(1, 8) * time)
    clicks = (rng.random(len(time)) < 20 / rate) * rng.normal(size=len(time))
    parts = [overtones * swelling, swept, rng.normal(size=len(time)) * swelling, clicks]
    mixed = sum(weight * part for weight, part in zip(rng.dirichlet(np.ones(len(parts))), parts, strict=True))
    peak = np.abs(mixed).max() if len(time) else 0.0
    return np.asarray(mixed * (rng.uniform(0.1, 0.9) / max(float(peak), 1e-9)), np.float32)


def _noise(rng: np.random.Generator, samples: int) -> Array:
    return np.asarray(rng.normal(size=samples) * 0.1, np.float32)
