"""timm's checkpoints and DINOv3's image processor beside timm, torchvision and transformers: a program of its own.

Called with the folder that holds timm and torchvision, and one for its files; prints what each check raised, as JSON.
torchvision's build for PyTorch with CUDA does not find its operators beside the CPU's: nothing here calls one, and the
import asks for the schemas of two of them alone.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGES, PLACE = sys.argv[1:]
sys.path.append(PACKAGES)

import torch  # noqa: E402

SCHEMA = torch.library.Library("torchvision", "DEF")
SCHEMA.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
SCHEMA.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import timm  # noqa: E402
import transformers  # noqa: E402
from PIL import Image  # noqa: E402

import edgepack  # noqa: E402
from edgepack import pipeline  # noqa: E402
from edgepack.errors import ModelError  # noqa: E402
from edgepack.original import inputs, pytorch  # noqa: E402
from edgepack.runtime.image import ImageInput, levels_apart  # noqa: E402
from edgepack.runtime.processing import Image as ImageRecord  # noqa: E402
from edgepack.stages import resolve  # noqa: E402
from edgepack.tasks import _image_processor, image_classification, read_config  # noqa: E402

CLOSE = 1e-4  # of the largest output: fp32 in another order
NEAR = 2e-6  # relative, of float32 values: ToTensor divides by 255, where a bundle multiplies
SHAPES = [(131, 97), (97, 131), (200, 75), (64, 201), (63, 65), (31, 29), (160, 160), (30, 7)]
CHECKS: dict[str, Callable[[Path], None]] = {}


class Silent:
    def step(self, text: str) -> None: ...

    def note(self, text: str) -> None: ...


def check(function: Callable[[Path], None]) -> Callable[[Path], None]:
    CHECKS[function.__name__] = function
    return function


def build(folder: Path, recipe: str, task: str | None = None, target: str = "rpi") -> Path:
    asked = {
        "out": folder.parent / "dist",
        "measure_speed": False,
        "recipes": (recipe,),
        "allow_loss": True,
        "task": task,
    }
    return pipeline.build(pipeline.Request(model=str(folder), targets=(target,), **asked), Silent())[0].path


def photos() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    coarse = [rng.integers(0, 256, (height // 7 + 2, width // 7 + 2, 3), np.uint8) for height, width in SHAPES]
    return [
        Image.fromarray(part).resize((width, height), Image.Resampling.BICUBIC)
        for part, (height, width) in zip(coarse, SHAPES, strict=True)
    ]


def made(folder: Path, architecture: str, side: int = 64, **options: Any) -> Any:
    """A checkpoint with random weights, saved as timm publishes them; statistics of a size at which mistakes show."""
    torch.manual_seed(0)
    model = timm.create_model(architecture, **options)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=0.2)
    model.pretrained_cfg["input_size"] = (3, side, side)
    timm.models.save_for_hf(model.eval(), folder, safe_serialization=True)
    return model


def transformed(model: Any, images: list[Image.Image]) -> torch.Tensor:
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    return torch.stack([transform(image) for image in images])


def compared(folder: Path, model: Any, images: list[Image.Image], task: str | None = None) -> None:
    """Build it and hold it against timm's own transform and model."""
    bundle = build(folder, "fp32", task)
    found = edgepack.load(bundle)
    outputs = found._runs["model"](found.feeds([np.asarray(image) for image in images]))
    with torch.no_grad():
        wanted = model(transformed(model, images)).numpy()
    ours = outputs["image_embedding" if task else "logits"]
    assert ours.shape == wanted.shape, (ours.shape, wanted.shape)
    assert np.abs(ours - wanted).max() <= CLOSE * np.abs(wanted).max()
    answer = json.loads((bundle / "edgepack.json").read_text())["processing"]["answer"]
    assert answer.get("width", wanted.shape[1]) == wanted.shape[1]
    assert len(answer.get("labels", wanted[0])) == wanted.shape[1]


@check
def mobilenet(folder: Path) -> None:
    model = made(folder / "mobilenetv4", "mobilenetv4_conv_small_035", num_classes=7)
    compared(folder / "mobilenetv4", model, photos())
    found = edgepack.load(build(folder / "mobilenetv4", "int8-static"))
    assert found.predict(np.asarray(photos()[0]))


@check
def vision_transformer(folder: Path) -> None:
    compared(folder / "vit", made(folder / "vit", "test_vit", num_classes=0, img_size=64), photos(), "image-embedding")


@check
def embedding_of_a_classifier(folder: Path) -> None:
    made(folder / "resnet", "test_resnet", num_classes=5)
    encoder = timm.create_model(f"local-dir:{folder / 'resnet'}", pretrained=True, num_classes=0)  # as cards say
    compared(folder / "resnet", encoder.eval(), photos(), "image-embedding")


@check
def saved_by_transformers(folder: Path) -> None:
    model = made(folder / "plain", "test_convnext", num_classes=4)
    file = folder / "plain" / "config.json"
    stated = json.loads(file.read_text())
    file.write_text(json.dumps({**stated, "model_args": {}}))  # which transformers takes for arguments of its own
    wrapped = transformers.TimmWrapperForImageClassification.from_pretrained(folder / "plain")
    wrapped.save_pretrained(folder / "wrapped")
    assert read_config(folder / "wrapped" / "config.json")["architectures"] == ["TimmWrapperForImageClassification"]
    source = resolve.resolve(str(folder / "wrapped"))
    with torch.no_grad():
        pixels = transformed(model, photos())
        found = pytorch.open_module(source, image_classification)(pixels)["logits"]
        np.testing.assert_array_equal(found, model(pixels))


@check
def images_are_prepared_as_timm_does(folder: Path) -> None:
    for settings in (
        {}, {"crop_pct": 0.95, "interpolation": "bilinear"}, {"crop_pct": 1.0, "interpolation": "lanczos"},
        {"crop_mode": "squash", "crop_pct": 0.9}, {"crop_mode": "squash", "crop_pct": 1.0, "input_size": [3, 40, 31]},
        {"input_size": [3, 41, 41], "mean": [0.5], "std": [0.5]}, {"crop_pct": 1.3, "input_size": [3, 43, 43]},
        {"crop_pct": 1.3, "crop_mode": "squash", "input_size": [3, 44, 38], "interpolation": "nearest"},
    ):  # fmt: skip
        given = {"input_size": [3, 64, 64], **settings}
        image = _image_processor.read(folder, {"pretrained_cfg": given})
        config = timm.data.resolve_data_config(given)  # as transformers asks
        transform = timm.data.create_transform(**config)
        for photo in photos():
            ours = ImageInput(image).feeds([np.asarray(photo)])["pixel_values"][0]
            np.testing.assert_allclose(ours, transform(photo).numpy(), rtol=NEAR, atol=NEAR, err_msg=str(given))


@check
def what_is_refused(folder: Path) -> None:
    made(folder / "other", "test_vit", num_classes=3)
    file = folder / "other" / "config.json"
    stated = json.loads(file.read_text())
    file.write_text(json.dumps({**stated, "pretrained_cfg": {**stated["pretrained_cfg"], "crop_mode": "border"}}))
    refused(folder / "other", '"crop_mode" is "border"')
    file.write_text(json.dumps({**stated, "architecture": "resnet_of_tomorrow"}))
    refused(folder / "other", "has no architecture 'resnet_of_tomorrow'")
    file.write_text(json.dumps(stated))
    refused(folder / "other", "no class for timm's models", target="web")


def refused(folder: Path, words: str, target: str = "rpi") -> None:
    with pytest.raises(ModelError, match=words):
        build(folder, "fp32", target=target)


@check
def dinov3(folder: Path) -> None:
    model = folder / "dinov3"
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    torch.manual_seed(0)
    config = transformers.DINOv3ViTConfig(**sizes, image_size=32, patch_size=8, initializer_range=0.2)
    transformers.DINOv3ViTModel(config).save_pretrained(model)
    facts = {"image_processor_type": "DINOv3ViTImageProcessorFast", "size": {"height": 40, "width": 32}, "resample": 2}
    (model / "preprocessor_config.json").write_text(json.dumps(facts))
    image = _image_processor.read(model, read_config(model / "config.json"))
    theirs = transformers.AutoImageProcessor.from_pretrained(model)
    assert type(theirs).__name__ == "DINOv3ViTImageProcessor"
    for photo in photos():
        true = theirs(photo, return_tensors="pt")["pixel_values"].numpy()
        assert levels_apart(ImageInput(image).feeds([np.asarray(photo)])["pixel_values"], true, image) <= 1
    measured = json.loads((build(model, "fp32") / "measurements.json").read_text())
    pixels = next(one for one in measured["accuracy"] if one["metric"] == "pixels_max_error")
    assert 0 < pixels["compressed"] <= 1


@check
def other_processors_stay_on_pillow(folder: Path) -> None:
    facts = {"image_processor_type": "ViTImageProcessor", "size": 30}
    (folder / "preprocessor_config.json").write_text(json.dumps(facts))
    assert type(inputs._processor(folder, "")).__name__ == "ViTImageProcessorPil"
    image: ImageRecord = _image_processor.read(folder, {"model_type": "resnet"})
    assert image.alpha == "refuse"


def main() -> None:
    """Run the checks, each in a folder of its own."""
    told = {}
    for name, function in CHECKS.items():
        (Path(PLACE) / name).mkdir()
        try:
            function(Path(PLACE) / name)
        except Exception:
            told[name] = traceback.format_exc()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
