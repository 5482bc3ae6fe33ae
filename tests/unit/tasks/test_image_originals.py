"""What the original is fed for pictures: transformers' own image processor, and ours agrees with it on awkward ones."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgepack.errors import PreprocessingDiffers
from edgepack.original import inputs
from edgepack.runtime.image import ImageInput
from edgepack.tasks import _image, image_classification

NEAR = 1e-3  # levels of 255
GREY = {"model_type": "vit", "num_channels": 1, "image_size": 28}
SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "CLIP": ({"model_type": "clip"}, {"size": 60, "crop_size": 56}),
    "ConvNext": ({"model_type": "resnet"}, {"size": 64, "crop_pct": 0.875}),
    "ViT": (GREY, {"size": 28, "image_mean": 0.1307, "image_std": 0.3081}),
}


def _apart(folder: Path, processing: dict[str, Any], examples: list[Any]) -> float:
    """How far ours are from transformers' pixels, in levels of 255."""
    ours = ImageInput(processing).feeds(examples)
    source: Any = SimpleNamespace(origin=folder, name="x")
    return inputs.match(source, image_classification, processing, examples, ours)[1]


@pytest.mark.parametrize("name", SETTINGS)
def test_the_examples_are_prepared_alike(tmp_path: Path, name: str) -> None:
    config, facts = SETTINGS[name]
    facts = {"image_processor_type": f"{name}ImageProcessor", **facts}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(facts))
    processing = _image.processing(tmp_path, config)
    examples = _image.pictures(processing)
    shapes = [example.shape for example in examples]
    assert {len(shape) for shape in shapes} == {2, 3}
    assert min(min(shape[:2]) for shape in shapes) < 28 < 10 * 28 < max(max(shape[:2]) for shape in shapes)
    assert _apart(tmp_path, processing, examples) <= NEAR


def test_files_and_bytes(tmp_path: Path) -> None:
    facts = {"image_processor_type": "ViTImageProcessor", "size": 30}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(facts))
    processing = _image.processing(tmp_path, {"model_type": "resnet"})
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 4), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise, "RGBA").save(file, "PNG")
    (tmp_path / "x.png").write_bytes(file.getvalue())
    given = [file.getvalue(), str(tmp_path / "x.png"), tmp_path / "x.png"]
    assert _apart(tmp_path, processing, given) <= NEAR


def test_pixels_that_differ_are_told(tmp_path: Path) -> None:
    facts = {"image_processor_type": "EfficientNetImageProcessor", "size": 30}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(facts))
    wrong = _image.processing(tmp_path, {"model_type": "efficientnet"})
    wrong["steps"] = wrong["steps"][:-1]  # without include_top
    with pytest.raises(PreprocessingDiffers, match="levels of 255"):
        _apart(tmp_path, wrong, _image.pictures(wrong)[:2])
