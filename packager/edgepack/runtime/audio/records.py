"""The records of how sounds become inputs; processing.py has the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from edgepack.runtime.ranges import Words
from edgepack.runtime.record_json import Rule

Rate = Annotated[int, Rule(minimum=1000, maximum=384_000)]  # samples per second
Samples = Annotated[int, Rule(minimum=1, maximum=100_000_000)]
Frame = Annotated[int, Rule(minimum=1, maximum=8192)]  # samples
Hertz = Annotated[float, Rule(minimum=0, maximum=192_000)]


@dataclass(frozen=True, kw_only=True)
class Waveform:
    """The samples themselves, float32 [batch, samples]: one sound at a time, of its own length, nothing padded."""

    TAG: ClassVar = ("kind", "waveform")
    normalize: bool  # (sample - mean) / sqrt(variance + 1e-7), both of the whole sound
    max_samples: Samples  # longer sounds are refused


@dataclass(frozen=True, kw_only=True)
class LogMel:
    """Logarithms of the energy in bands of the mel scale, float32 [batch, frames, mel_bins].

    What is behind the last of ``frames`` is left out; frames that a sound lacks are 0 before ``mean`` and ``std``.
    """

    TAG: ClassVar = ("kind", "log-mel")
    frames: Annotated[int, Rule(minimum=1, maximum=20_000)]
    frame_length: Frame
    hop_length: Frame  # samples from one frame to the next; the first begins with the sound
    fft_length: Frame  # frames are filled up with zeros to it
    window: Literal["hann"]  # symmetric
    remove_dc_offset: bool  # of each frame, before all else
    preemphasis: Annotated[float, Rule(minimum=0, maximum=1)]  # times the sample before, taken off; of the first itself
    mel_bins: Annotated[int, Rule(minimum=1, maximum=1024)]
    mel_scale: Literal["kaldi"]  # 1127 ln(1 + hertz / 700); the triangles' sides are straight in mel
    mel_norm: Literal["none"]  # each triangle's peak is 1
    min_frequency: Hertz
    max_frequency: Hertz
    floor: Annotated[float, Rule(exclusiveMinimum=0)]  # least energy
    log: Literal["natural"]
    mean: float  # (value - mean) / std
    std: Annotated[float, Rule(exclusiveMinimum=0)]


@dataclass(frozen=True, kw_only=True)
class Audio:
    """Sounds to the model's input: of one channel, samples from -1 to 1 at ``sampling_rate``."""

    input: Words
    sampling_rate: Rate
    min_samples: Samples  # shorter sounds are refused
    features: Waveform | LogMel
