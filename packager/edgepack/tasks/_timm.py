"""timm's config.json: what names the model, and its evaluation transform as the steps that ImageInput does.

Source: timm 1.0's resolve_data_config and create_transform. transformers has its models under one model_type.
"""

from __future__ import annotations

import json
import math
from typing import Literal, TypeGuard

from edgepack.documents import Json, JsonDict, JsonObject
from edgepack.errors import ModelError, UnsupportedModel, nearest
from edgepack.runtime.processing import CenterCrop, Image, Normalize, Rescale, Resize, ResizeShortestEdge, Size, Step
from edgepack.runtime.resize import RESAMPLINGS

MODEL_TYPE = "timm_wrapper"  # transformers' for all of timm's models
CLASSIFIER, ENCODER = "TimmWrapperForImageClassification", "TimmWrapperModel"
_SETTINGS = "pretrained_cfg"
_DEFAULTS: JsonObject = {
    "input_size": [3, 224, 224], "interpolation": "bicubic", "crop_pct": 0.875, "crop_mode": "center",
    "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
}  # fmt: skip
# Fields of timm's PretrainedCfg that change no pixel where a model is evaluated at its own size.
_IRRELEVANT = {
    "architecture", "classifier", "custom_load", "description", "file", "first_conv", "fixed_input_size",
    "hf_hub_filename", "hf_hub_id", "label_descriptions", "label_names", "label_offset", "license", "min_input_size",
    "notes", "num_classes", "origin_url", "paper_ids", "paper_name", "pool_size", "source", "state_dict", "tag",
    "test_crop_pct", "test_input_size", "test_pool_size", "url",
}  # fmt: skip
_LONGEST = 1 << 14  # pixels of a side


def is_one(config: JsonObject) -> bool:
    """Return whether a config.json is timm's, by what transformers tells it by."""
    return isinstance(config.get(_SETTINGS), dict)


def named(config: JsonDict) -> JsonDict:
    """Return ``config`` with the names that transformers has for a model of timm; any other as it is."""
    if not is_one(config):
        return config
    classes = config.get("num_classes")
    kind = ENCODER if classes == 0 and not isinstance(classes, bool) else CLASSIFIER
    return {"model_type": MODEL_TYPE, "architectures": [kind], **config}


def image(config: JsonObject) -> Image:
    """Return how images become inputs.

    Raises ModelError and UnsupportedModel, which name the key and the value that cannot be followed.
    """
    settings = _Settings(config)
    channels, height, width = settings.input_size()
    return Image(
        input="pixel_values",
        channels=channels,
        size=Size(height=height, width=width),
        alpha="refuse",
        steps=(
            *_geometry(settings, height, width),
            Rescale(factor=1 / 255, offset=0.0),
            Normalize(mean=settings.per_channel("mean", channels), std=settings.per_channel("std", channels)),
        ),
    )


def _geometry(settings: _Settings, height: int, width: int) -> tuple[Step, ...]:
    """Return the resize and the crop of the mode."""
    resample = settings.text("interpolation")
    if resample not in RESAMPLINGS:
        raise settings.wrong("interpolation", f"known are {', '.join(RESAMPLINGS)}")
    share, mode = settings.share("crop_pct"), settings.text("crop_mode")
    tall, wide = (math.floor(side / share) for side in (height, width))
    if min(tall, wide) < 1 or max(tall, wide) > _LONGEST:
        raise settings.wrong("crop_pct", "the share of the image that is kept, as 0.875")
    crop = CenterCrop(height=height, width=width, odd="torchvision")
    if mode == "squash":
        resize = Resize(resample=resample, height=tall, width=wide)
        return (resize,) if (tall, wide) == (height, width) else (resize, crop)
    if mode != "center":
        raise settings.wrong("crop_mode", "a bundle can do center and squash")
    if tall != wide:
        raise settings.wrong("input_size", "with the crop_mode center a bundle can do squares alone")
    return ResizeShortestEdge(resample=resample, shortest_edge=tall), crop


class _Settings:
    """The values of pretrained_cfg, each checked when it is asked for; what is absent, null or empty is timm's own."""

    def __init__(self, config: JsonObject) -> None:
        self._given: JsonObject = config[_SETTINGS]
        for key, value in self._given.items():
            if key not in _DEFAULTS and key not in _IRRELEVANT and value is not None:
                close = nearest(key, _DEFAULTS, least=0.85)
                raise UnsupportedModel(
                    f"config.json: edgepack does not know what {_SETTINGS}'s key {key!r} does to images",
                    hint=f"did you mean {close!r}?" if close else "take it out if it does nothing",
                )

    def _value(self, key: str) -> Json:
        return self._given.get(key) or _DEFAULTS[key]

    def wrong(self, key: str, why: str) -> ModelError:
        """Return the error for a value that cannot be followed."""
        return UnsupportedModel(
            f'config.json: {_SETTINGS}\'s "{key}" is {json.dumps(self._value(key))[:60]}: {why}',
            hint="choose another checkpoint of the same architecture: timm publishes most in several",
        )

    def text(self, key: str) -> Json:
        """Return the value as it is."""
        return self._value(key)

    def share(self, key: str) -> float:
        """Return a finite number above 0. Raises UnsupportedModel."""
        value = self._value(key)
        if not _is_number(value) or value <= 0:
            raise self.wrong(key, "not a number above 0")
        return float(value)

    def input_size(self) -> tuple[Literal[1, 3], int, int]:
        """Return channels (1 or 3), height and width. Raises UnsupportedModel."""
        value = self._value("input_size")
        whole = isinstance(value, list) and all(isinstance(side, int) and 0 < side <= _LONGEST for side in value)
        if not whole or len(value) != 3 or value[0] not in (1, 3):
            raise self.wrong("input_size", "1 or 3 channels, a height and a width are needed")
        return (1 if value[0] == 1 else 3, value[1], value[2])

    def per_channel(self, key: str, channels: int) -> tuple[float, ...]:
        """Return a number per channel; one is for all. Raises UnsupportedModel."""
        value = self._value(key)
        if (
            not isinstance(value, list)
            or not all(_is_number(each) for each in value)
            or len(value) not in (1, channels)
        ):
            raise self.wrong(key, f"not {channels} numbers")
        if key == "std" and 0 in value:
            raise self.wrong(key, "values cannot be divided by 0")
        return tuple(float(each) for each in value) * (channels // len(value))


def _is_number(value: Json) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
