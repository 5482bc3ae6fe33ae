"""The preprocessor_config.json of a bundle says in plain settings what the model's own says by its class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from PIL import Image as Pillow

from edgepack import client_files, client_images
from edgepack.errors import UnsupportedModel
from edgepack.runtime.image import ImageInput
from edgepack.runtime.processing import Image, Normalize, Processing, Rescale, ReverseChannels, Size
from edgepack.tasks._image_processor import read
from edgepack.tasks._image_settings import CLASSES

NEAR = 5e-6  # relative: offsets and second divisions are worked into mean and std, in float64
RESNET = {"model_type": "resnet"}
FACTS: dict[str, dict[str, Any]] = {
    **{name: {"image_processor_type": name} for name in CLASSES if name != "TextNetImageProcessor"},
    "offset": {"image_processor_type": "EfficientNetImageProcessor", "rescale_offset": True},
    "top alone": {"image_processor_type": "EfficientNetImageProcessor", "do_normalize": False},
    "raw": {"image_processor_type": "ViTImageProcessor", "do_normalize": False, "do_rescale": False},
    "crop alone": {"image_processor_type": "CLIPImageProcessor", "do_resize": False, "crop_size": 61},
}
UNSAYABLE = {"PerceiverImageProcessor"}


@pytest.mark.parametrize("name", FACTS)
def test_transformers_reads_the_bundles_file_as_the_models(name: str, tmp_path: Path, photo: np.ndarray) -> None:
    model, bundle = tmp_path / "model", tmp_path / "bundle"
    model.mkdir(), bundle.mkdir()
    (model / "processor_config.json").write_text(json.dumps({"image_processor": FACTS[name]}))
    image = read(model, RESNET)
    client_files.write(model, bundle, Processing(image=image))
    written = (bundle / "preprocessor_config.json").is_file()
    assert written == (name not in UNSAYABLE)
    assert (bundle / "processor_config.json").is_file() != written
    processor = transformers.AutoImageProcessor.from_pretrained(bundle)
    theirs = processor(Pillow.fromarray(photo), return_tensors="np")["pixel_values"]
    ours = ImageInput(image).feeds([photo])["pixel_values"]
    np.testing.assert_allclose(ours, np.asarray(theirs, np.float32), rtol=NEAR, atol=NEAR)
    if written:  # and the file means the same to edgepack
        assert read(bundle, RESNET).size == image.size


@pytest.mark.parametrize(
    ("facts", "channels", "steps"),
    [
        ({}, 3, []),
        ({"image_mean": 0.5, "image_std": 0.5}, 1, [("channels", True)]),
        ({"do_center_crop": True, "crop_size": 230}, 3, [("center_crop", False)]),
        ({"do_center_crop": True, "crop_size": 200}, 3, []),
        (
            {"size": {"max_height": 50, "max_width": 60}, "do_center_crop": True, "crop_size": 20},
            3,
            [("resize", False), ("center_crop", False)],
        ),
        ({"image_processor_type": "PerceiverImageProcessor"}, 3, [("center_crop", False)]),
        ({"image_processor_type": "ConvNextImageProcessor", "size": 224}, 3, []),
        ({"image_processor_type": "MobileViTImageProcessor", "size": 288}, 3, []),
        ({"image_processor_type": "EfficientNetImageProcessor"}, 3, []),
        (
            {"image_processor_type": "TextNetImageProcessor", "do_center_crop": True, "size": 240},
            3,
            [("resize", False)],
        ),
    ],
)
def test_what_transformers_js_does_otherwise(
    facts: dict[str, Any], channels: int, steps: list[tuple[str, bool]], tmp_path: Path
) -> None:
    facts = {"image_processor_type": "ViTImageProcessor", **facts}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(facts))
    image = read(tmp_path, {**RESNET, "num_channels": channels})
    found = client_images.transformers_js(image)
    assert [(difference.step, difference.in_graph) for difference in found] == steps
    assert "canvas" in client_images.transformers_js_filter(image)


GREY = {"image_processor_type": "ViTImageProcessor", "size": 32, "image_mean": 0.4, "image_std": 0.3}


def image_of(facts: dict[str, Any], folder: Path, channels: int = 3) -> Image:
    (folder / "preprocessor_config.json").write_text(json.dumps(facts))
    return read(folder, {**RESNET, "num_channels": channels})


@pytest.mark.parametrize("side", [32, 47])
def test_grey_is_made_behind_what_transformers_js_does(side: int, tmp_path: Path) -> None:
    image = image_of(GREY, tmp_path, channels=1)
    made = client_images.for_transformers_js(image)
    photo = np.random.default_rng(4).integers(0, 256, (side, side, 3), np.uint8)
    fed = ImageInput(made).feeds([photo])["pixel_values"]
    mixed = np.einsum("mc,bchw->bmhw", np.array(made.mix), fed)
    ours = ImageInput(image).feeds([photo])["pixel_values"]
    level = 1 / 255 / 0.3
    assert fed.shape == (1, 3, 32, 32)
    assert np.abs(mixed - ours).max() <= (0.51 if side == 32 else 1.51) * level  # luma, and a resize, round to levels
    config = client_images.preprocessor_config(made)
    assert config is not None
    assert (config["do_convert_rgb"], config["image_mean"]) == (True, [0.4] * 3)
    assert client_images.transformers_js(made) == []


def test_channels_are_turned_around_behind_mean_and_deviation() -> None:
    image = Image(
        input="pixel_values",
        channels=3,
        size=Size(height=9, width=7),
        alpha="drop",
        steps=(
            ReverseChannels(),
            Rescale(factor=1 / 255, offset=0.0),
            Normalize(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7)),
        ),
    )
    made = client_images.for_transformers_js(image)
    photo = np.random.default_rng(4).integers(0, 256, (9, 7, 3), np.uint8)
    fed = ImageInput(made).feeds([photo])["pixel_values"]
    mixed = np.einsum("mc,bchw->bmhw", np.array(made.mix, np.float32), fed)
    np.testing.assert_array_equal(mixed, ImageInput(image).feeds([photo])["pixel_values"])
    assert client_images.transformers_js(made) == []


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"image_processor_type": "PerceiverImageProcessor"}, "crops after the resize"),
        ({"size": {"max_height": 50, "max_width": 60}, "do_center_crop": True, "crop_size": 20}, "max_height"),
        ({"image_processor_type": "TextNetImageProcessor", "do_center_crop": True, "size": 240}, "multiples of 32"),
    ],
)
def test_what_transformers_js_cannot_do_is_refused(facts: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match=why):
        client_images.for_transformers_js(image_of({"image_processor_type": "ViTImageProcessor", **facts}, tmp_path))


def test_the_card_says_what_is_not_equal(tmp_path: Path) -> None:
    image = client_images.for_transformers_js(image_of(GREY, tmp_path, channels=1))
    said = " ".join(client_images.notes(image))
    assert "resizes otherwise" in said
    assert "red, green and blue" in said
    small = {"image_processor_type": "ViTImageProcessor", "do_center_crop": True, "crop_size": 230}
    assert "smaller than the crop" in " ".join(client_images.notes(image_of(small, tmp_path)))
