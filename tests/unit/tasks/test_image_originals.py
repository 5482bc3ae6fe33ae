"""What the original is fed for images: transformers' own image processor, and ours agrees with it on awkward ones."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import transformers
from PIL import Image

from edgepack.errors import PreprocessingDiffers
from edgepack.original import inputs
from edgepack.runtime.image import ImageInput, levels_apart
from edgepack.runtime.processing import Image as ImageRecord
from edgepack.runtime.processing import Processing
from edgepack.tasks import _image, _image_files, _image_processor, image_classification

NEAR = 1e-3  # levels of 255
GREY = {"model_type": "vit", "num_channels": 1, "image_size": 28}
SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "CLIP": ({"model_type": "clip"}, {"size": 60, "crop_size": 56}),
    "ConvNext": ({"model_type": "resnet"}, {"size": 64, "crop_pct": 0.875}),
    "ViT": (GREY, {"size": 28, "image_mean": 0.1307, "image_std": 0.3081}),
}


def _apart(folder: Path, image: ImageRecord, examples: list[Any]) -> float:
    """How far ours are from transformers' pixels, in levels of 255."""
    ours = ImageInput(image).feeds(examples)
    source: Any = SimpleNamespace(origin=folder, name="x", model_type="", sha256=str(folder))
    return inputs.match(source, image_classification, Processing(image=image), examples, ours)[1]


@pytest.mark.parametrize("name", SETTINGS)
def test_the_examples_are_prepared_alike(tmp_path: Path, name: str) -> None:
    config, facts = SETTINGS[name]
    facts = {"image_processor_type": f"{name}ImageProcessor", **facts}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(facts))
    image = _image_processor.read(tmp_path, config)
    examples = _image.images(image)
    shapes = [example.shape for example in examples if not isinstance(example, bytes)]
    assert {len(shape) for shape in shapes} == {2, 3}
    assert min(min(shape[:2]) for shape in shapes) < 28 < 10 * 28 < max(max(shape[:2]) for shape in shapes)
    assert _apart(tmp_path, image, examples) <= NEAR


def test_files_and_bytes(tmp_path: Path) -> None:
    facts = {"image_processor_type": "ViTImageProcessor", "size": 30}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(facts))
    image = _image_processor.read(tmp_path, {"model_type": "resnet"})
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 4), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise, "RGBA").save(file, "PNG")
    (tmp_path / "x.png").write_bytes(file.getvalue())
    given = [file.getvalue(), str(tmp_path / "x.png"), tmp_path / "x.png"]
    assert _apart(tmp_path, image, given) <= NEAR


def test_pixels_that_differ_are_told(tmp_path: Path) -> None:
    facts = {"image_processor_type": "EfficientNetImageProcessor", "size": 30}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(facts))
    wrong = _image_processor.read(tmp_path, {"model_type": "efficientnet"})
    wrong = replace(wrong, steps=wrong.steps[:-1])  # without include_top
    with pytest.raises(PreprocessingDiffers, match="levels of 255"):
        _apart(tmp_path, wrong, _image.images(wrong)[:2])


# --- files of every kind ---

DRAWN = np.random.default_rng(1).integers(0, 4, (20, 31, 3), np.uint8) * 85
KINDS = _image_files.files(DRAWN)
SIDES = {"size": {"height": 24, "width": 20}}


def _modes() -> dict[str, tuple[str, bool]]:
    """Of each file the mode that Pillow opens it in, and whether it names a transparency."""
    opened = {kind: Image.open(io.BytesIO(file)) for kind, file in KINDS.items()}
    return {kind: (photo.mode, "transparency" in photo.info) for kind, photo in opened.items()}


def test_the_files_are_of_every_kind() -> None:
    keyed = {("P", True), ("RGB", True), ("L", True), ("1", True)}
    assert {*_modes().values()} == keyed | {(mode, False) for mode in ("RGB", "RGBA", "LA", "CMYK", "I;16", "P")}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("convert", [True, False, None])
@pytest.mark.filterwarnings("ignore:Palette images")  # of Pillow in transformers' load_image
@pytest.mark.parametrize("name", ["CLIP", "ViT", "Siglip", "Levit", "MobileNetV1", "MobileViT"])
def test_files_are_opened_as_transformers_does(tmp_path: Path, kind: str, convert: bool | None, name: str) -> None:
    facts = {"image_processor_type": f"{name}ImageProcessor", "do_convert_rgb": convert, "crop_size": 24}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({**facts, **SIDES, "do_center_crop": False}))
    image = _image_processor.read(tmp_path, {"model_type": "resnet"})
    assert _apart(tmp_path, image, [KINDS[kind]]) <= NEAR
    opened = transformers.image_utils.load_image(Image.open(io.BytesIO(KINDS[kind])))
    piped = transformers.AutoImageProcessor.from_pretrained(tmp_path)(opened, return_tensors="np")["pixel_values"]
    ours = ImageInput(image).feeds([KINDS[kind]])["pixel_values"]
    assert levels_apart(ours, piped, image) <= NEAR


def test_arrays_with_a_fourth_channel(tmp_path: Path) -> None:
    facts = {"image_processor_type": "CLIPImageProcessor", "do_center_crop": False, **SIDES}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(facts))
    image = _image_processor.read(tmp_path, {"model_type": "resnet"})
    photo = np.random.default_rng(0).integers(0, 256, (24, 20, 4), np.uint8)
    assert _apart(tmp_path, image, [photo]) <= 1


def test_images_that_nothing_resizes_have_the_size_of_the_model(tmp_path: Path) -> None:
    facts = {"image_processor_type": "ViTImageProcessor", "do_resize": False, "do_convert_rgb": True}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(facts))
    image = _image_processor.read(tmp_path, {"model_type": "vit", "image_size": [32, 24]})
    examples = _image.images(image)
    assert sum(isinstance(example, bytes) for example in examples) == len(KINDS)
    assert _apart(tmp_path, image, examples) <= NEAR
    model = SimpleNamespace(image=ImageInput(image), feeds=ImageInput(image).feeds)
    golden = image_classification.golden(model, examples[1::2])
    assert {feeds["pixel_values"].shape for _, feeds in golden} == {(1, 3, 32, 24)}
