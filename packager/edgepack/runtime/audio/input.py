"""Sounds to a model's input, by an Audio record; docs/bundle-format.md states each step.

The values are those of transformers' Wav2Vec2FeatureExtractor, and of its ASTFeatureExtractor without torchaudio.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgepack.arrays import Array, Example, Feeds
from edgepack.errors import InputError
from edgepack.runtime import arguments
from edgepack.runtime.audio import wav_file
from edgepack.runtime.audio.log_mel import log_mel
from edgepack.runtime.audio.records import Audio, Waveform
from edgepack.runtime.audio.resampling import resampled

CLOSE = 1e-4  # of a sound's deviation: a third of a level of 16 bits where that is a tenth of full scale
_EPSILON = 1e-7  # of the variance
_MARGIN = 0.1  # seconds behind what is needed, more than resampling looks ahead


class AudioInput:
    """Batches of float32 [batch, samples] or [batch, frames, mel_bins], by ``audio``."""

    def __init__(self, audio: Audio) -> None:
        self._audio = audio

    def feeds(self, sounds: Sequence[Example]) -> Feeds:
        """Return the array of one batch; see ``samples`` for what a sound may be.

        Raises InputError, also where the arrays of several sounds are not of one length.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # what becomes infinite is an error
            made = [self._features(self.samples(sound)) for sound in sounds]
        if len({len(one) for one in made}) > 1:
            raise InputError(
                "sounds of different lengths cannot share a batch: nothing is padded", hint="give them one by one"
            )
        if not all(np.isfinite(one).all() for one in made):
            raise InputError("the sound's values are too large to be prepared", hint="full scale is from -1 to 1")
        return {self._audio.input: np.stack(made)}

    def samples(self, sound: Example, sampling_rate: int | None = None) -> Array:
        """Return float32 [samples] at the model's rate of float [samples], or of a WAV file's path or bytes.

        ``sampling_rate`` is an array's (default: the model's). Raises InputError, UsageError for a rate that is none.
        """
        if isinstance(sound, str | Path | bytes | bytearray | memoryview):
            if sampling_rate is not None:
                raise InputError("a WAV file states its sampling rate itself", hint="leave sampling_rate out")
            found = self._of_file(sound)
        else:
            found = self._of_array(sound, sampling_rate)
        if len(found) < self._audio.min_samples:
            raise InputError(
                f"a sound of {len(found):,} samples at {self._audio.sampling_rate:,} per second is too short: the "
                f"model takes {self._audio.min_samples:,} or more"
            )
        if not np.isfinite(found).all():
            raise InputError("the sound holds NaN or infinity")
        return found

    @property
    def sampling_rate(self) -> int:
        """The model's, samples per second."""
        return self._audio.sampling_rate

    @property
    def min_samples(self) -> int:
        """The fewest samples that the model takes."""
        return self._audio.min_samples

    @property
    def _longest(self) -> float:
        """The seconds of a sound that are used; of a waveform none more may be given."""
        features = self._audio.features
        if isinstance(features, Waveform):
            return features.max_samples / self._audio.sampling_rate
        return (features.frames * features.hop_length + features.frame_length) / self._audio.sampling_rate

    def _of_file(self, sound: str | Path | bytes | bytearray | memoryview) -> Array:
        if isinstance(sound, str | Path) and not Path(sound).is_file():
            raise InputError(f"there is no sound {sound}")
        file = sound if isinstance(sound, str | Path) else bytes(sound)
        found = wav_file.read(file, self._longest + _MARGIN)
        self._check_length(found.length / found.rate)
        return resampled(found.samples, found.rate, self._audio.sampling_rate)

    def _of_array(self, sound: Example, sampling_rate: int | None) -> Array:
        if not isinstance(sound, np.ndarray) or sound.dtype.kind != "f" or sound.ndim != 1:
            raise InputError(
                "a sound must be an array of floats [samples], mostly from -1 to 1, or a WAV file's path or bytes",
                hint="of two channels take the mean; 16-bit integers divide by 32768",
            )
        rate = self._audio.sampling_rate if sampling_rate is None else _rate(sampling_rate)
        self._check_length(len(sound) / rate)
        with np.errstate(over="ignore"):  # what becomes infinite is an error
            return resampled(sound.astype(np.float32, copy=False), rate, self._audio.sampling_rate)

    def _check_length(self, seconds: float) -> None:
        if isinstance(self._audio.features, Waveform) and seconds > self._longest:
            raise InputError(
                f"a sound of {seconds:.1f} s is too long: the bundle takes {self._longest:g} s at most",
                hint=f"ffmpeg -i sound.wav -t {self._longest:g} shorter.wav",
            )

    def _features(self, samples: Array) -> Array:
        features = self._audio.features
        if not isinstance(features, Waveform):
            return log_mel(samples, features, self._audio.sampling_rate)
        if not features.normalize:
            return samples
        return np.asarray((samples - samples.mean()) / np.sqrt(samples.var() + _EPSILON))


def _rate(value: int) -> int:
    least, most = wav_file.RATES
    said = f"a whole number of samples per second, from {least:,} to {most:,}"
    made = arguments.whole("sampling_rate", value, least, said)
    if made > most:
        raise InputError(f"sampling_rate is {made:,}", hint=f"it must be {said}")
    return made
