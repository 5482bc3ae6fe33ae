"""What a manifest says of images' latents goes with the inputs and outputs that it lists, and of sounds with itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import edgepack
from edgepack.errors import BundleDamaged
from edgepack.records import Bundle, TensorSpec
from edgepack.runtime import consistency
from edgepack.runtime.manifest import Manifest

ENTRY: dict[str, Any] = {
    "file": "m", "format": "onnx", "opset": 1, "components": [], "operators": {}, "needs": "", "files": [],
    "coverage": {"compressed": 0, "total": 1, "skipped": []},
    "golden": {"file": "g", "output": "o", "least_cosine": 0.9},
}  # fmt: skip
SETTINGS = {
    "encoders": [{"submodel": "t", "tokenizer": "t", "max_length": 8, "pad_id": 0, "hidden": "h"}],
    "latent_channels": 4, "unet_channels": 4, "vae_scale_factor": 8, "scaling_factor": 1.0, "height": 64, "width": 64,
    "multiple_of": 8, "steps": 1, "guidance": 1.0,
}  # fmt: skip


def values(name: str, channels: int | str) -> list[dict[str, Any]]:
    return [{"name": name, "dtype": "float32", "shape": ["batch", channels, "height", "width"]}]


def listed(encoded: tuple[str, int] = ("latent_parameters", 8), **settings: Any) -> Manifest:
    models = {
        "unet": {**ENTRY, "inputs": values("sample", 4), "outputs": values("out_sample", "channels")},
        "vae_decoder": {**ENTRY, "inputs": values("latent_sample", 4), "outputs": values("sample", 3)},
        "vae_encoder": {**ENTRY, "inputs": values("sample", 3), "outputs": values(*encoded)},
    }
    processing = {"diffusion": {**SETTINGS, **settings}}
    return Manifest(Path("bundle"), {"task": "text-to-image", "models": models, "files": {}, "processing": processing})


def test_channels_that_go_together() -> None:
    consistency.check_processing(listed())


@pytest.mark.parametrize("setting", ["latent_channels", "unet_channels"])
def test_channels_that_do_not(setting: str) -> None:
    with pytest.raises(BundleDamaged, match=f"has 4 channels, and processing.diffusion.{setting} makes it 5"):
        consistency.check_processing(listed(**{setting: 5}))


def test_a_mean_of_fewer_channels_than_the_latents() -> None:
    consistency.check_processing(listed(latents_mean=[0.1] * 4, latents_std=[1.0] * 4))
    with pytest.raises(BundleDamaged, match="latents_std has not one value for each of the latent_channels"):
        consistency.check_processing(listed(latents_mean=[0.1] * 4, latents_std=[1.0] * 3))


def test_channels_of_an_encoder_that_gives_latents_alone() -> None:
    consistency.check_processing(listed(("latent_sample", 4)))
    with pytest.raises(BundleDamaged, match="'latent_sample' of the vae_encoder has 8 channels"):
        consistency.check_processing(listed(("latent_sample", 8)))


PIXELS = ("pixel_values", "float32", ("batch", 3, 32, 24))


@dataclass(frozen=True)
class Opened:
    inputs: tuple[TensorSpec, ...]


def images(height: int, width: int, channels: int = 3) -> Manifest:
    size = {"height": height, "width": width}
    image = {"input": "pixel_values", "channels": channels, "size": size, "alpha": "drop", "steps": []}
    models = {"model": {**ENTRY, "inputs": [], "outputs": []}}
    table = {"task": "image-classification", "models": models, "files": {}, "processing": {"image": image}}
    return Manifest(Path("bundle"), table)


def check_opened(listed: Manifest, name: str, dtype: str, shape: tuple[int | str, ...]) -> None:
    opened: Any = Opened((TensorSpec(name=name, dtype=dtype, shape=shape),))
    consistency.check_inputs(listed, listed.models["model"], opened)


@pytest.mark.parametrize(
    "spec",
    [PIXELS, ("pixel_values", "float32", ("batch", 3, "height", "width")), ("image", "uint8", (32, 24, 3)),
     ("input_ids", "int64", (1, 1, 1, 1))],
)  # fmt: skip
def test_images_that_the_graph_takes(spec: tuple[str, str, tuple[int | str, ...]]) -> None:
    check_opened(images(32, 24), *spec)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ((64, 24), "takes images with height 32, and processing.image.size.height is 64"),
        ((32, 32), "takes images with width 24, and processing.image.size.width is 32"),
        ((32, 24, 1), "takes images with channels 3, and processing.image.channels is 1"),
    ],
)
def test_images_that_the_graph_does_not_take(size: tuple[int, ...], said: str) -> None:
    with pytest.raises(BundleDamaged, match=said):
        check_opened(images(*size), *PIXELS)
    if len(size) == 2:
        with pytest.raises(BundleDamaged, match=said):
            check_opened(images(*size), "image", "uint8", (32, 24, 3))


@pytest.mark.parametrize("target", ["rpi", "iphone"])
def test_a_bundle_whose_images_its_graph_does_not_take_is_refused(
    build: Callable[..., tuple[Bundle, ...]], tiny: Callable[[str], Path], tmp_path: Path, target: str
) -> None:
    packed = build(tiny("image-classification"), target, allow_loss=True)[0]
    folder = Path(shutil.copytree(packed.path, tmp_path / "bundle"))
    table = json.loads((folder / "edgepack.json").read_text("utf-8"))
    table["processing"]["image"]["size"] = {"height": 64, "width": 32}
    (folder / "edgepack.json").write_text(json.dumps(table), "utf-8")
    with pytest.raises(BundleDamaged, match=r"processing\.image\.size\.height is 64"):
        edgepack.load(folder)


@pytest.mark.parametrize("target", ["rpi", "iphone"])
def test_a_bundle_whose_graph_scores_another_number_of_labels_is_refused(
    build: Callable[..., tuple[Bundle, ...]], tiny: Callable[[str], Path], tmp_path: Path, target: str
) -> None:
    packed = build(tiny("text-classification"), target, allow_loss=True)[0]
    folder = Path(shutil.copytree(packed.path, tmp_path / "bundle"))
    table = json.loads((folder / "edgepack.json").read_text("utf-8"))
    assert len(table["processing"]["answer"]["labels"].pop()) > 0
    (folder / "edgepack.json").write_text(json.dumps(table), "utf-8")
    with pytest.raises(BundleDamaged, match=r"scores 3 labels, and processing\.answer names 2"):
        edgepack.load(folder)


def test_a_sound_goes_into_an_input_that_the_graph_has() -> None:
    with pytest.raises(BundleDamaged, match=r"has no input .input_values., as processing\.audio calls it"):
        check_opened(heard(WAVEFORM), "other", "float32", ("batch", "samples"))


WAVEFORM = {"kind": "waveform", "normalize": True, "max_samples": 1000}
LOG_MEL = {
    "kind": "log-mel", "frames": 4, "frame_length": 400, "hop_length": 160, "fft_length": 512, "window": "hann",
    "remove_dc_offset": True, "preemphasis": 0.97, "mel_bins": 8, "mel_scale": "kaldi", "mel_norm": "none",
    "min_frequency": 20.0, "max_frequency": 8000.0, "floor": 1e-7, "log": "natural", "mean": 0.0, "std": 1.0,
}  # fmt: skip


def heard(features: dict[str, Any], shortest: int = 400) -> Manifest:
    audio = {"input": "input_values", "sampling_rate": 16_000, "min_samples": shortest, "features": features}
    models = {"model": {**ENTRY, "inputs": [], "outputs": []}}
    table = {"task": "audio-classification", "models": models, "files": {}, "processing": {"audio": audio}}
    return Manifest(Path("bundle"), table)


@pytest.mark.parametrize("features", [WAVEFORM, LOG_MEL])
def test_sounds_that_go_together(features: dict[str, Any]) -> None:
    consistency.check_processing(heard(features))


@pytest.mark.parametrize(
    ("features", "shortest", "said"),
    [
        (WAVEFORM, 1001, "the shortest sound is longer than the longest"),
        (LOG_MEL | {"fft_length": 256}, 400, "a frame is longer than its Fourier transform"),
        (LOG_MEL, 399, "the shortest sound is shorter than a frame"),
        (LOG_MEL | {"min_frequency": 8000.0}, 400, "do not lie between 0 and half the sampling rate"),
        (LOG_MEL | {"max_frequency": 8001.0}, 400, "do not lie between 0 and half the sampling rate"),
    ],
)
def test_sounds_that_do_not(features: dict[str, Any], shortest: int, said: str) -> None:
    with pytest.raises(BundleDamaged, match=f"processing.audio contradicts itself: .*{said}"):
        consistency.check_processing(heard(features, shortest))


@pytest.mark.parametrize(
    ("features", "shape"), [(WAVEFORM, ("batch", "samples")), (WAVEFORM, (1, "400..1000")), (LOG_MEL, ("batch", 4, 8))]
)
def test_sounds_that_the_graph_takes(features: dict[str, Any], shape: tuple[int | str, ...]) -> None:
    check_opened(heard(features), "input_values", "float32", shape)


@pytest.mark.parametrize(
    ("features", "shape", "said"),
    [
        (WAVEFORM, (1, 4, 8), "processing.audio makes waveform features"),
        (WAVEFORM, (1, 600), "processing.audio makes waveform features"),
        (LOG_MEL, ("batch", "samples"), "processing.audio makes log-mel features"),
        (LOG_MEL, ("batch", 4, 9), "processing.audio makes log-mel features"),
    ],
)
def test_sounds_that_the_graph_does_not_take(features: dict[str, Any], shape: tuple[int | str, ...], said: str) -> None:
    with pytest.raises(BundleDamaged, match=said):
        check_opened(heard(features), "input_values", "float32", shape)
