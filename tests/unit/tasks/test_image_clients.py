"""The preprocessor_config.json of a bundle says in plain settings what the model's own says by its class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from PIL import Image

from edgepack import client_files, client_pictures
from edgepack.runtime.image import ImageInput
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
def test_transformers_reads_the_bundles_file_as_the_models(name: str, tmp_path: Path, picture: np.ndarray) -> None:
    model, bundle = tmp_path / "model", tmp_path / "bundle"
    model.mkdir(), bundle.mkdir()
    (model / "processor_config.json").write_text(json.dumps({"image_processor": FACTS[name]}))
    processing = read(model, RESNET)
    client_files.write(model, bundle, processing)
    written = (bundle / "preprocessor_config.json").is_file()
    assert written == (name not in UNSAYABLE)
    assert (bundle / "processor_config.json").is_file() != written
    processor = transformers.AutoImageProcessor.from_pretrained(bundle)
    theirs = processor(Image.fromarray(picture), return_tensors="np")["pixel_values"]
    ours = ImageInput(processing).feeds([picture])["pixel_values"]
    np.testing.assert_allclose(ours, np.asarray(theirs, np.float32), rtol=NEAR, atol=NEAR)
    if written:  # and the file means the same to edgepack
        assert read(bundle, RESNET)["size"] == processing["size"]


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
    processing = read(tmp_path, {**RESNET, "num_channels": channels})
    found = client_pictures.transformers_js(processing)
    assert [(difference.step, difference.in_graph) for difference in found] == steps
    assert "canvas" in client_pictures.transformers_js_filter(processing)
