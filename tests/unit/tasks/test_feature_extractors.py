"""How a feature extractor's settings are read, and what is made of sounds, against transformers' own classes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import transformers
from transformers.models.auto.feature_extraction_auto import FEATURE_EXTRACTOR_MAPPING_NAMES
from transformers.utils import is_speech_available

from edgepack.errors import ModelError, PreprocessingDiffers, UnsupportedModel
from edgepack.original import inputs
from edgepack.runtime.audio.input import AudioInput
from edgepack.runtime.audio.records import Audio, LogMel
from edgepack.runtime.processing import Processing
from edgepack.tasks import _feature_extractor, _supported, audio_classification
from edgepack.tasks._audio import sounds
from edgepack.tasks._feature_extractor import convolutions

pytestmark = pytest.mark.filterwarnings("ignore:At least one mel filter")  # transformers', of AST's own settings
WAVES: dict[str, Any] = {"model_type": "wav2vec2"}
AST: dict[str, Any] = {"model_type": "audio-spectrogram-transformer"}


def _read(folder: Path, settings: dict[str, Any], config: dict[str, Any] = WAVES) -> Audio:
    (folder / "preprocessor_config.json").write_text(json.dumps(settings), "utf-8")
    return _feature_extractor.read(folder, config)


def _same(folder: Path, extractor: Any, config: dict[str, Any]) -> None:
    """The record's features are those that ``extractor`` makes."""
    extractor.save_pretrained(folder)
    audio = _feature_extractor.read(folder, config)
    assert Processing.from_json(Processing(audio=audio).to_json()).audio == audio
    reader = AudioInput(audio)
    for sound in sounds(audio):
        samples = reader.samples(sound)
        theirs = extractor(samples, sampling_rate=audio.sampling_rate, return_tensors="np")["input_values"]
        (made,) = reader.feeds([sound]).values()
        assert made.dtype == np.float32
        np.testing.assert_allclose(made, theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize("changed", [{}, {"do_normalize": False, "sampling_rate": 8000}])
def test_a_waveform_is_transformers(changed: dict[str, Any], tmp_path: Path) -> None:
    _same(tmp_path, transformers.Wav2Vec2FeatureExtractor(**changed), WAVES)


@pytest.mark.skipif(is_speech_available(), reason="torchaudio makes AST's features, other than transformers' numpy")
@pytest.mark.parametrize(
    "changed", [{}, {"max_length": 50, "num_mel_bins": 40, "mean": -3.5, "std": 2.5}, {"do_normalize": False}]
)
def test_log_mel_features_are_transformers(changed: dict[str, Any], tmp_path: Path) -> None:
    sizes = {key: changed[key] for key in ("max_length", "num_mel_bins") if key in changed}
    _same(tmp_path, transformers.ASTFeatureExtractor(**changed), {**AST, **sizes})


def test_a_long_sounds_end_is_left_out_as_ast_does_it(tmp_path: Path) -> None:
    extractor = transformers.ASTFeatureExtractor(max_length=20, num_mel_bins=16)
    extractor.save_pretrained(tmp_path)
    audio = _feature_extractor.read(tmp_path, {**AST, "max_length": 20, "num_mel_bins": 16})
    long = np.random.default_rng(0).normal(size=20_000).astype(np.float32)
    theirs = extractor(long, sampling_rate=16_000, return_tensors="np")["input_values"]
    np.testing.assert_allclose(AudioInput(audio).feeds([long])["input_values"], theirs, atol=1e-6)


@pytest.mark.parametrize("name", _feature_extractor.CLASSES)
def test_the_defaults_are_the_classes(name: str) -> None:
    own = getattr(transformers, name)()
    assert {key: getattr(own, key) for key in _feature_extractor.CLASSES[name]} == _feature_extractor.CLASSES[name]
    assert vars(own).keys() - {"mel_filters", "window"} <= (
        _feature_extractor.IRRELEVANT | _feature_extractor.CLASSES[name].keys()
    )


@pytest.mark.parametrize("model_type", _supported.TABLE["audio-classification"])
def test_the_class_of_a_file_without_one_is_transformers(model_type: str) -> None:
    theirs = FEATURE_EXTRACTOR_MAPPING_NAMES[model_type]
    assert _feature_extractor.MODELS.get(model_type, _feature_extractor.WAVEFORM) == theirs


@pytest.mark.parametrize("model_type", sorted(_supported.TABLE["audio-classification"].keys() - AST.values()))
def test_the_shortest_sound_is_what_the_convolutions_take(model_type: str, tmp_path: Path) -> None:
    config = transformers.AutoConfig.for_model(model_type)
    usual = convolutions(model_type)
    assert {key: tuple(getattr(config, key)) for key in usual} == dict(usual)
    frames = _read(tmp_path, {"sampling_rate": 16_000}, {"model_type": model_type}).min_samples
    for kernel, stride in zip(*usual.values(), strict=True):
        frames = (frames - kernel) // stride + 1
    assert frames == getattr(config, "squeeze_factor", 1)


def test_settings_nested_in_the_processors_file_go_first(tmp_path: Path) -> None:
    nested = {"feature_extractor": {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": 8000}}
    (tmp_path / "processor_config.json").write_text(json.dumps(nested), "utf-8")
    assert _read(tmp_path, {"sampling_rate": 16_000}).sampling_rate == 8000


def test_ast_has_its_own_record(tmp_path: Path) -> None:
    features = _read(tmp_path, {"feature_extractor_type": "ASTFeatureExtractor"}, AST).features
    assert isinstance(features, LogMel)
    assert (features.frames, features.mel_bins, features.std) == (1024, 128, 2 * 4.5689974)


@pytest.mark.parametrize("torchaudio", [False, True])
def test_sounds_that_are_prepared_otherwise_than_by_transformers_stop_a_build(
    torchaudio: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    audio = _feature_extractor.read(tmp_path, WAVES)
    source = SimpleNamespace(origin=tmp_path, name="a model", sha256="")
    sound = [np.random.default_rng(0).normal(size=800).astype(np.float32)]
    other = replace(audio, features=replace(audio.features, normalize=False))
    monkeypatch.setattr(inputs, "is_speech_available", lambda: torchaudio)

    def match(record: Audio) -> float:
        feeds = AudioInput(record).feeds(sound)
        return inputs.match(source, audio_classification, Processing(audio=record), sound, feeds)[1]

    assert match(audio) == 0
    with pytest.raises(PreprocessingDiffers, match="the bundle's sounds differ from transformers' by up to") as caught:
        match(other)
    assert ("torchaudio" in caught.value.hint) == torchaudio


WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "whisper": ({"feature_extractor_type": "WhisperFeatureExtractor"}, WAVES, "WhisperFeatureExtractor is not supp"),
    "seamless": ({"feature_extractor_type": "SeamlessM4TFeatureExtractor"}, WAVES, "SeamlessM4TFeatureExtractor is"),
    "own code": ({"auto_map": {"AutoFeatureExtractor": "x.Y"}}, WAVES, r"the model's own code \(auto_map\)"),
    "nothing": ({}, WAVES, "has no preprocessor_config.json, so it is unclear how sounds are prepared"),
    "unknown": ({"do_normalise": True}, WAVES, "does not know what the key 'do_normalise' .true. does to sounds"),
    "channels": ({"feature_size": 2}, WAVES, '"feature_size" is 2: sounds have one channel'),
    "rate": ({"sampling_rate": 16000.5}, WAVES, '"sampling_rate" is 16000.5: not a whole number of 1,000 to 384,000'),
    "switch": ({"do_normalize": "yes"}, WAVES, '"do_normalize" is "yes": not true, false or null'),
    "kernels": ({"feature_size": 1}, {**WAVES, "conv_kernel": "10"}, "conv_kernel and conv_stride are not lists"),
    "bins": ({"num_mel_bins": 64}, AST, r'"num_mel_bins" is 64: the model takes 128 \(num_mel_bins in config.json\)'),
    "frames": ({"max_length": 512}, AST, r'"max_length" is 512: the model takes 1024 \(max_length in config.json\)'),
    "AST's rate": ({"sampling_rate": 8000}, AST, "makes other features with torchaudio than without, but at 16,000"),
    "deviation": ({"std": 0}, AST, '"std" is 0: a standard deviation is above 0'),
    "mean": ({"mean": [1]}, AST, r'"mean" is \[1\]: not a number'),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_followed_is_named(case: str, tmp_path: Path) -> None:
    settings, config, said = WRONG[case]
    with pytest.raises((ModelError, UnsupportedModel), match=said):
        _read(tmp_path, settings, config)
