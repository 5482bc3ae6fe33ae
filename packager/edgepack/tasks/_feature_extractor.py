"""A feature extractor's settings as the record of what AudioInput does, class by class as in transformers.

A key that the file does not have takes the class's value.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from edgepack.documents import Json, JsonObject
from edgepack.errors import ModelError, UnsupportedModel, nearest
from edgepack.runtime.audio.records import Audio, LogMel, Waveform
from edgepack.tasks import read_config
from edgepack.tasks._image_settings import FILE, NESTED

WAVEFORM, AST = "Wav2Vec2FeatureExtractor", "ASTFeatureExtractor"
LONGEST = 30  # seconds of a waveform: what activations take grows with the length, in part with its square
CLASSES: Mapping[str, JsonObject] = {
    WAVEFORM: {"feature_size": 1, "sampling_rate": 16_000, "do_normalize": True},
    AST: {
        "feature_size": 1, "sampling_rate": 16_000, "do_normalize": True, "num_mel_bins": 128, "max_length": 1024,
        "mean": -4.2677393, "std": 4.5689974,
    },
}  # fmt: skip
# The class for a model whose files name none, by model_type; another model's is the waveform's
MODELS = {"audio-spectrogram-transformer": AST}
# Keys that change no value: names, and how sounds of different lengths share a batch, which they do not here. Alone a
# sound has no padding, and its attention mask holds ones.
IRRELEVANT = {
    "feature_extractor_type", "processor_class", "auto_map", "return_tensors", "padding_side", "padding_value",
    "return_attention_mask", "model_input_names",
}  # fmt: skip
# config.json's settings of the layers that make frames of samples, where it does not state them, by model_type
_USUAL = {"conv_kernel": (10, 3, 3, 3, 3, 2, 2), "conv_stride": (5, 2, 2, 2, 2, 2, 2)}
_CONVOLUTIONS: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "sew": {
        "conv_kernel": (10, 3, 1, 3, 1, 3, 1, 3, 1, 2, 1, 2, 1), "conv_stride": (5, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1),
    },
}  # fmt: skip
_SQUEEZED = {"sew": 2}  # frames that are joined to one, where config.json does not state them
# What ASTFeatureExtractor computes, whatever its file says: 25 and 10 ms at its rate
_AST_RATE, _FRAME, _HOP, _FFT, _LOWEST, _PREEMPHASIS, _FLOOR = 16_000, 400, 160, 512, 20.0, 0.97, 1.192092955078125e-07


def read(folder: Path, config: JsonObject) -> Audio:
    """Read how sounds become inputs, for the manifest.

    Raises ModelError and UnsupportedModel, which name the feature extractor, the key or the value that cannot be
    followed.
    """
    settings = _find(folder, config)
    if settings.whole("feature_size") != 1:
        raise settings.wrong("feature_size", "sounds have one channel")
    rate = settings.whole("sampling_rate", least=1000, most=384_000)
    normalizes = settings.on("do_normalize")
    if settings.name == AST:
        return _ast(settings, config, normalizes)
    features = Waveform(normalize=normalizes, max_samples=LONGEST * rate)
    return Audio(input="input_values", sampling_rate=rate, min_samples=_shortest(config), features=features)


def convolutions(model_type: str) -> Mapping[str, tuple[int, ...]]:
    """Return transformers' usual kernels and strides for a model type."""
    return _CONVOLUTIONS.get(model_type, _USUAL)


def _shortest(config: JsonObject) -> int:
    """Return the samples of which the convolutions make one frame, or as many as are joined. Raises ModelError."""
    kind = str(config.get("model_type"))
    found = [config.get(key, usual) for key, usual in convolutions(kind).items()]
    for sizes in found:
        if not isinstance(sizes, list | tuple) or not all(isinstance(one, int) and 0 < one < 10_000 for one in sizes):
            raise ModelError(
                f"config.json: conv_kernel and conv_stride are not lists of whole numbers: {_short(found)}",
                hint="copy config.json again from the model's repository",
            )
    kernels, strides = found
    needed = int(config.get("squeeze_factor", _SQUEEZED[kind])) if kind in _SQUEEZED else 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=False):
        needed = (needed - 1) * stride + kernel
    return needed


def _ast(settings: _Settings, config: JsonObject, normalizes: bool) -> Audio:
    rate = settings.whole("sampling_rate")
    if rate != _AST_RATE:
        raise settings.wrong(
            "sampling_rate", f"{AST} makes other features with torchaudio than without, but at {_AST_RATE:,}"
        )
    frames, bins = settings.whole("max_length", most=20_000), settings.whole("num_mel_bins", most=1024)
    for key, made in (("max_length", frames), ("num_mel_bins", bins)):
        takes = config.get(key, CLASSES[AST][key])
        if takes != made:
            raise settings.wrong(
                key, f"the model takes {takes} ({key} in config.json)", "take both files from the same repository"
            )
    features = LogMel(
        frames=frames,
        frame_length=_FRAME,
        hop_length=_HOP,
        fft_length=_FFT,
        window="hann",
        remove_dc_offset=True,
        preemphasis=_PREEMPHASIS,
        mel_bins=bins,
        mel_scale="kaldi",
        mel_norm="none",
        min_frequency=_LOWEST,
        max_frequency=float(rate // 2),
        floor=_FLOOR,
        log="natural",
        mean=settings.number("mean") if normalizes else 0.0,
        std=2 * _deviation(settings) if normalizes else 1.0,
    )
    return Audio(input="input_values", sampling_rate=rate, min_samples=_FRAME, features=features)


def _deviation(settings: _Settings) -> float:
    value = settings.number("std")
    if value <= 0:
        raise settings.wrong("std", "a standard deviation is above 0")
    return value


class _Settings:
    """The settings of a feature extractor's file and class; each value is checked when it is asked for."""

    def __init__(self, file: Path, name: str, given: JsonObject) -> None:
        self.file, self.name = file, name
        known = IRRELEVANT | CLASSES[name].keys()
        for key, value in given.items():
            if key not in known and value is not None:
                close = nearest(key, known, least=0.85)
                raise UnsupportedModel(
                    f"{file}: edgepack does not know what the key {key!r} ({_short(value)}) does to sounds",
                    hint=f"did you mean {close!r}?" if close else "take it out if it does nothing",
                )
        self._values = {**CLASSES[name], **given}

    def wrong(self, key: str, why: str, hint: str = "") -> ModelError:
        """Return the error for a value that cannot be followed."""
        return ModelError(f'{self.file}: "{key}" is {_short(self._values.get(key))}: {why}', hint=hint)

    def on(self, key: str) -> bool:
        """Return whether a step is done; null means no. Raises ModelError."""
        value = self._values[key]
        if value is not None and not isinstance(value, bool):
            raise self.wrong(key, "not true, false or null")
        return bool(value)

    def number(self, key: str) -> float:
        """Return a finite number. Raises ModelError."""
        value = self._values[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.wrong(key, "not a number")
        return float(value)

    def whole(self, key: str, *, least: int = 1, most: int = 1_000_000) -> int:
        """Return a whole number in a range. Raises ModelError."""
        value = self._values[key]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.wrong(key, f"not a whole number of {least:,} to {most:,}")
        return value


def _find(folder: Path, config: JsonObject) -> _Settings:
    """Return the settings of the model in ``folder``, found where transformers' AutoFeatureExtractor looks."""
    nested = read_config(folder / NESTED).get("feature_extractor")
    file = folder / (FILE if nested is None else NESTED)
    given = read_config(file) if nested is None else nested
    if not isinstance(given, dict) or not given:
        raise ModelError(
            f"{folder} has no {FILE}, so it is unclear how sounds are prepared",
            hint="copy it from the model's repository",
        )
    name = given.get("feature_extractor_type") or config.get("feature_extractor_type")
    if name is None and given.get("auto_map"):
        name = "of the model's own code (auto_map)"
    name = str(name or MODELS.get(str(config.get("model_type")), WAVEFORM))
    if name not in CLASSES:
        raise UnsupportedModel(
            f"{file}: the feature extractor {name} is not supported", hint=f"supported are {', '.join(CLASSES)}"
        )
    return _Settings(file, name, given)


def _short(value: Json) -> str:
    told = json.dumps(value, default=str)
    return told if len(told) <= 60 else told[:57] + "…"
