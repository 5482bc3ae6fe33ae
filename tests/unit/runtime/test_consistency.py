"""What a manifest says of images' latents goes with the inputs and outputs that it lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgepack.errors import BundleDamaged
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


def listed(**settings: int) -> Manifest:
    models = {
        "unet": {**ENTRY, "inputs": values("sample", 4), "outputs": values("out_sample", "channels")},
        "vae_decoder": {**ENTRY, "inputs": values("latent_sample", 4), "outputs": values("sample", 3)},
        "vae_encoder": {**ENTRY, "inputs": values("sample", 3), "outputs": values("latent_parameters", 8)},
    }
    processing = {"diffusion": {**SETTINGS, **settings}}
    return Manifest(Path("bundle"), {"task": "text-to-image", "models": models, "files": {}, "processing": processing})


def test_channels_that_go_together() -> None:
    consistency.check_processing(listed())


@pytest.mark.parametrize("setting", ["latent_channels", "unet_channels"])
def test_channels_that_do_not(setting: str) -> None:
    with pytest.raises(BundleDamaged, match=f"has 4 channels, and processing.diffusion.{setting} makes it 5"):
        consistency.check_processing(listed(**{setting: 5}))
