"""Every image processor's settings are read as transformers reads them, or refused by name."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.models.auto import image_processing_auto as auto
from transformers.models.auto import modeling_auto

from edgepack.errors import InputError, ModelError, UnsupportedModel
from edgepack.runtime.image import LEVELS, ImageInput, levels_apart
from edgepack.runtime.processing import Image as ImageRecord
from edgepack.runtime.processing import Size
from edgepack.tasks import _image_processor, _image_settings
from edgepack.tasks._image_processor import read
from edgepack.tasks._image_settings import CLASSES, MODELS, TENSORS

NEAR = 2e-6  # relative, of float32 values: the steps are the same, one after the other; 1 of 255 is 4e-3
RESNET = {"model_type": "resnet"}
BOUNDED = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)


def _write(folder: Path, **facts: Any) -> Path:
    (folder / "preprocessor_config.json").write_text(json.dumps(facts))
    return folder


def _theirs(folder: Path, photo: Any) -> np.ndarray:
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    return np.asarray(processor(photo, return_tensors="np")["pixel_values"])


def _agree(folder: Path, image: ImageRecord, array: np.ndarray) -> None:
    ours = ImageInput(image).feeds([array])["pixel_values"]
    theirs = _theirs(folder, Image.fromarray(array))
    assert ours.shape == theirs.shape == (1, image.channels, image.size.height, image.size.width)
    np.testing.assert_allclose(ours, theirs, rtol=NEAR, atol=NEAR)


# --- the table ---


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_has_the_defaults_of_transformers(name: str) -> None:
    theirs = auto.get_image_processor_class_from_name(name + "Pil")
    ours = dict(CLASSES[name])
    for key in {*theirs.valid_kwargs.__annotations__, *ours} - _image_settings.IRRELEVANT:
        expected = 1 / 255 if key == "rescale_factor" else ours.get(key)
        assert getattr(theirs, key, None) == expected, key
    known = (
        {key for defaults in CLASSES.values() for key in defaults} | _image_settings.IRRELEVANT | _image_settings.READ
    )
    assert {*theirs.valid_kwargs.__annotations__} <= known


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_pads_where_transformers_does(name: str) -> None:
    theirs = auto.get_image_processor_class_from_name(name + "Pil")
    assert (name in _image_processor.PADDING) == ("self.pad(" in inspect.getsource(theirs._preprocess))


def test_every_model_type_has_the_class_of_transformers() -> None:
    known = modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES | modeling_auto.MODEL_FOR_IMAGE_MAPPING_NAMES
    listed = {kind: auto.IMAGE_PROCESSOR_MAPPING_NAMES.get(kind, {}) for kind in known}
    theirs = {kind: names.get("pil") or f"{names.get('torchvision')}Pil" for kind, names in listed.items()}
    expected = {kind: name[:-3] for kind, name in theirs.items() if name[:-3] in {*CLASSES, *TENSORS}}
    assert dict(MODELS) == expected


# --- random settings and images ---

SIDE = st.integers(1, 96)
NUMBER = st.floats(0.05, 0.95).map(lambda value: round(value, 3))
TRIPLE = st.lists(NUMBER, min_size=3, max_size=3)
ON = st.sampled_from([True, False, None])
FIXED = st.fixed_dictionaries({"height": SIDE, "width": SIDE}) | st.tuples(SIDE, SIDE).map(list)
FREE = (
    SIDE
    | st.fixed_dictionaries({"shortest_edge": SIDE})
    | st.fixed_dictionaries({"shortest_edge": SIDE, "longest_edge": st.integers(1, 200)})
    | st.fixed_dictionaries({"max_height": SIDE, "max_width": SIDE})
)
SETTINGS = st.fixed_dictionaries(
    {"image_processor_type": st.sampled_from(sorted(CLASSES))},
    optional={
        "size": FIXED | FREE,
        "crop_size": SIDE | FIXED,
        "resample": st.integers(0, 5),
        "do_resize": ON,
        "do_center_crop": ON,
        "do_rescale": ON,
        "do_normalize": ON,
        "do_convert_rgb": ON,
        "do_flip_channel_order": ON,
        "do_pad": ON,
        "pad_size": SIDE | FIXED,
        "include_top": ON,
        "rescale_offset": ON,
        "default_to_square": ON,
        "crop_pct": NUMBER | st.just(1.25) | st.none(),
        "size_divisor": st.integers(1, 40),
        "rescale_factor": st.sampled_from([1 / 255, 1 / 127.5, 1, 0.5]),
        "image_mean": TRIPLE | NUMBER,
        "image_std": TRIPLE | NUMBER,
    },
)
SHAPES = st.tuples(st.integers(1, 130), st.integers(1, 130)) | st.sampled_from([(1, 300), (300, 1), (3, 90), (70, 400)])


@given(facts=SETTINGS, shape=SHAPES, seed=st.integers(0, 99))
@BOUNDED
def test_what_is_read_gives_transformers_pixels(
    tmp_path: Path, facts: dict[str, Any], shape: tuple[int, int], seed: int
) -> None:
    folder = _write(tmp_path, **facts)
    try:
        image = read(folder, RESNET)
    except ModelError:
        assume(False)
    photo = np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)
    try:
        _agree(folder, image, photo)
    except InputError as error:  # a side of no pixels: Pillow raises too, or makes up a black image
        assume("would become" not in str(error))
        raise


@given(facts=SETTINGS)
@BOUNDED
def test_what_is_refused_is_not_one_shape_in_transformers(tmp_path: Path, facts: dict[str, Any]) -> None:
    """A refusal is either transformers' own, or because images would come out in two shapes."""
    folder = _write(tmp_path, **facts)
    try:
        read(folder, RESNET)
    except ModelError as error:
        told = str(error)
    else:
        return
    assert any(f'"{key}"' in told for key in (*facts, "size", "crop_size", "image_std", "do_resize"))
    shapes = set()
    for shape in ((40, 90), (90, 40), (31, 33)):
        try:
            shapes.add(_theirs(folder, Image.new("RGB", shape)).shape)
        except (ValueError, TypeError, AttributeError, ZeroDivisionError):
            return
    assert len(shapes) > 1 or 0 in shapes.pop() or facts.get("do_pad")


# --- single cases ---

CLIP = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
LEGACY = {
    "resnet": {"feature_extractor_type": "ConvNextFeatureExtractor", "crop_pct": 0.875, "size": 224},
    "convnext large": {"image_processor_type": "ConvNextImageProcessor", "size": 384, "crop_pct": 0.5},
    "convnext null": {"image_processor_type": "ConvNextImageProcessorFast", "size": {"shortest_edge": 64}},
    "clip": {"feature_extractor_type": "CLIPFeatureExtractor", "size": 64, "crop_size": 64, **CLIP},
    "levit": {"feature_extractor_type": "LevitFeatureExtractor", "size": 224},
    "poolformer": {
        "feature_extractor_type": "PoolFormerFeatureExtractor", "crop_pct": 0.9, "size": 224,
        "do_resize_and_center_crop": True,
    },
    "mobilevit": {"image_processor_type": "MobileViTImageProcessor", "size": {"shortest_edge": 72}, "crop_size": 64},
    "mobilevit normalize": {"image_processor_type": "MobileViTImageProcessor", "do_normalize": True},
    "efficientnet": {"image_processor_type": "EfficientNetImageProcessor", "rescale_offset": True, "size": 64},
    "efficientnet top": {"image_processor_type": "EfficientNetImageProcessor", "do_normalize": False, "size": 64},
    "pillow's name": {"image_processor_type": "ViTImageProcessorPil", "size": 40},
    "another's key": {"image_processor_type": "ViTImageProcessor", "crop_pct": 0.5, "size": 40},
    "by model": {"size": {"shortest_edge": 64}},
    "saved by an earlier release": {
        "image_processor_type": "BitImageProcessorFast", "data_format": "channels_first", "device": None,
        "disable_grouping": None, "input_data_format": None, "return_tensors": None, "processor_class": None,
        "_valid_processor_keys": ["images", "size"],
    },
}  # fmt: skip


@pytest.mark.parametrize("name", LEGACY)
def test_forms_that_checkpoints_have(tmp_path: Path, name: str, photo: np.ndarray) -> None:
    (tmp_path / "config.json").write_text(json.dumps(RESNET))
    folder = _write(tmp_path, **LEGACY[name])
    _agree(folder, read(folder, RESNET), photo)


def test_settings_nested_in_the_processor_go_first(tmp_path: Path, photo: np.ndarray) -> None:
    folder = _write(tmp_path, image_processor_type="ViTImageProcessor", size=32)
    nested = {"image_processor_type": "CLIPImageProcessor", "size": 40, "crop_size": 36}
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": nested}))
    image = read(folder, RESNET)
    assert image.size == Size(height=36, width=36)
    _agree(folder, image, photo)


@pytest.mark.parametrize("name", ["CLIPImageProcessor", "ViTImageProcessor"])
def test_transparency(tmp_path: Path, name: str) -> None:
    folder = _write(tmp_path, image_processor_type=name, size=20, crop_size=20)
    clear = np.random.default_rng(0).integers(0, 256, (20, 20, 4), np.uint8)
    inputs = ImageInput(read(folder, RESNET))
    if name == "CLIPImageProcessor":  # do_convert_rgb: blended onto white
        ours = inputs.feeds([clear])["pixel_values"]
        np.testing.assert_allclose(ours, _theirs(folder, clear), rtol=NEAR, atol=NEAR)
        return
    with pytest.raises(InputError, match="transparency"):
        inputs.feeds([clear])
    with pytest.raises(ValueError, match="mean must have 4 elements"):
        _theirs(folder, clear)


def test_one_channel(tmp_path: Path) -> None:
    folder = _write(tmp_path, image_processor_type="ViTImageProcessor", size=8, image_mean=[0.5], image_std=[0.5])
    image = read(folder, {"model_type": "vit", "num_channels": 1, "image_size": 8})
    grey = np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8)
    _agree(folder, image, grey)


ViT = {"image_processor_type": "ViTImageProcessor"}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"size": None}, "size"),
    ({"size": 0}, "size"),
    ({"size": -3}, "size"),
    ({"size": "224"}, "size"),
    ({"size": 224.0}, "size"),
    ({"size": True}, "size"),
    ({"size": [224]}, "size"),
    ({"size": 10**9}, "size"),
    ({"size": {"height": 224}}, "size"),
    ({"size": {"height": 224, "width": 0}}, "size"),
    ({"size": {"height": 224, "width": "224"}}, "size"),
    ({"size": {"longest_edge": 224}}, "size"),
    ({"size": {"min_pixels": 9, "max_pixels": 99}}, "size"),
    ({"size": {"shortest_edge": 224}}, "size"),
    ({"size": {"shortest_edge": 224, "longest_edge": 300}}, "size"),
    ({"size": {"max_height": 224, "max_width": 300}}, "size"),
    ({"do_center_crop": True}, "crop_size"),
    ({"do_center_crop": True, "crop_size": {"shortest_edge": 9}}, "crop_size"),
    ({"do_center_crop": "yes"}, "do_center_crop"),
    ({"do_resize": 1}, "do_resize"),
    ({"do_resize": None}, "do_resize"),
    ({"do_resize": False}, "do_resize"),
    ({"resample": 9}, "resample"),
    ({"resample": None}, "resample"),
    ({"resample": "bicubic"}, "resample"),
    ({"rescale_factor": 0}, "rescale_factor"),
    ({"rescale_factor": float("nan")}, "NaN"),
    ({"rescale_factor": None}, "rescale_factor"),
    ({"image_mean": [0.5, 0.5]}, "image_mean"),
    ({"image_mean": None}, "image_mean"),
    ({"image_mean": ["a", "b", "c"]}, "image_mean"),
    ({"image_mean": [0.5, 0.5, float("inf")]}, "Infinity"),
    ({"image_std": [0.5, 0.0, 0.5]}, "image_std"),
    ({"image_std": 0}, "image_std"),
    ({"do_pad": True, "pad_size": 300}, "do_pad"),
    ({"input_data_format": "channels_first"}, "input_data_format"),
    ({"image_processor_type": "CLIPImageProcessor", "use_square_size": True}, "use_square_size"),
    ({"image_processor_type": "ConvNextImageProcessor", "crop_pct": None, "size": 64}, "crop_pct"),
    ({"image_processor_type": "ConvNextImageProcessor", "crop_pct": 0, "size": 64}, "crop_pct"),
    ({"image_processor_type": "ConvNextImageProcessor", "size": {"height": 64, "width": 64}}, "size"),
    ({"image_processor_type": "TextNetImageProcessor", "size_divisor": 0}, "size_divisor"),
    ({"image_processor_type": "PerceiverImageProcessor", "size": {"shortest_edge": 9}}, "size"),
    ({"do_centre_crop": True}, "do_centre_crop"),
    ({"ensure_multiple_of": 32}, "ensure_multiple_of"),
]


@pytest.mark.parametrize(("facts", "key"), WRONG, ids=[json.dumps(facts)[:50] for facts, _ in WRONG])
def test_a_wrong_setting_is_named(tmp_path: Path, facts: dict[str, Any], key: str) -> None:
    with pytest.raises(ModelError, match=key) as raised:
        read(_write(tmp_path, **{**ViT, **facts}), RESNET)
    assert "preprocessor_config.json" in str(raised.value)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"image_processor_type": "PPLCNetImageProcessorFast"}, "PPLCNetImageProcessorFast.*torchvision"),
        ({"image_processor_type": "GlimmerImageProcessor"}, "GlimmerImageProcessor is not supported"),
        ({"image_processor_type": "Siglip2ImageProcessor"}, "Siglip2ImageProcessor"),
        ({"image_processor_type": "BaseImageProcessorFast"}, "BaseImageProcessorFast"),
        ({"image_processor_type": 7}, "7"),
        ({"feature_extractor_type": "SwinFeatureExtractor"}, "SwinImageProcessor"),
        ({"auto_map": {"AutoImageProcessor": "code.Own"}}, "auto_map"),
    ],
)
def test_an_unknown_class_is_named(tmp_path: Path, facts: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedModel, match=words):
        read(_write(tmp_path, **facts), {"model_type": "clip_vision_model"})


def test_no_class_at_all(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="clip_vision_model"):
        read(_write(tmp_path, size=9), {"model_type": "clip_vision_model"})
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match=r"has no preprocessor_config\.json"):
        read(tmp_path, RESNET)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "vit", "image_size": 384}, "224 x 224 .* 384 x 384"),
        ({"model_type": "hiera", "image_size": [224, 192]}, "224 x 192"),
        ({"model_type": "clip", "vision_config": {"image_size": 336}}, "336 x 336"),
        ({"model_type": "vit", "num_channels": 4}, "num_channels"),
        ({"model_type": "vit", "num_channels": None}, "num_channels"),
        ({"model_type": "vit", "num_channels": 1}, "image_mean"),
    ],
)
def test_images_that_the_model_does_not_take(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        read(_write(tmp_path, **ViT), config)


def test_colour_for_a_model_of_one_channel(tmp_path: Path) -> None:
    facts = {"image_processor_type": "CLIPImageProcessor", "image_mean": 0.5, "image_std": 0.5}
    with pytest.raises(ModelError, match="do_convert_rgb"):
        read(_write(tmp_path, **facts), {"model_type": "resnet", "num_channels": 1})


def test_without_a_resize_the_image_has_the_models_size(tmp_path: Path) -> None:
    image = read(_write(tmp_path, **ViT, do_resize=False), {"model_type": "vit", "image_size": 32})
    ImageInput(image).feeds([np.zeros((32, 32, 3), np.uint8)])
    with pytest.raises(InputError, match="32 x 31"):
        ImageInput(image).feeds([np.zeros((32, 31, 3), np.uint8)])


def test_keys_that_change_no_pixel(tmp_path: Path) -> None:
    plain = read(_write(tmp_path, **ViT), RESNET)
    assert read(_write(tmp_path, **ViT, use_fast=False, processor_class="x"), RESNET) == plain


def test_a_hint_names_a_key_that_is_near_or_none(tmp_path: Path) -> None:
    for key, hint in (
        ("do_flip", "take it out"),
        ("do_grayscale", "take it out"),
        ("do_centre_crop", "'do_center_crop'"),
    ):
        with pytest.raises(UnsupportedModel, match=key) as raised:
            read(_write(tmp_path, **ViT, **{key: True}), RESNET)
        assert hint in raised.value.hint


@pytest.mark.parametrize("shape", [(300, 200, 3), (60, 44, 3), (97, 33, 3)])
def test_dinov3(shape: tuple[int, ...], tmp_path: Path) -> None:
    """By torch's operator that torchvision resizes tensors with; tests/builds/test_timm.py asks the class itself."""
    facts = {"image_processor_type": "DINOv3ViTImageProcessorFast", "size": {"height": 64, "width": 64}}
    photo = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    values = torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255
    true = torch.nn.functional.interpolate(values, (64, 64), mode="bilinear", antialias=True).numpy()
    image = read(_write(tmp_path, **facts, image_mean=[0, 0, 0], image_std=[1, 1, 1]), {"model_type": "dinov3_vit"})
    assert levels_apart(ImageInput(image).feeds([photo])["pixel_values"], true, image) <= LEVELS
    for key, value in {"resample": 3, "do_center_crop": True}.items():
        with pytest.raises(ModelError, match=key):
            read(_write(tmp_path, **facts, **{key: value}), {"model_type": "dinov3_vit"})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"crop_mode": "border"}, '"crop_mode" is "border"'),
        ({"interpolation": "random"}, '"interpolation" is "random"'),
        ({"crop_pct": -1}, '"crop_pct" is -1'),
        ({"input_size": [3, 64, 48]}, '"input_size" is .*squares'),
        ({"input_size": [4, 64, 64]}, '"input_size"'),
        ({"mean": [0.5, 0.5]}, '"mean" is .* not 3 numbers'),
        ({"std": [0.5, 0, 0.5]}, '"std" .* divided by 0'),
        ({"crop_modus": "center"}, "'crop_modus'"),
    ],
)
def test_settings_of_timm_that_are_not_followed(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedModel, match=words):
        read(tmp_path, {"pretrained_cfg": settings})
