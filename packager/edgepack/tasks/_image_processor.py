"""An image processor's settings as the steps that ImageInput does, class by class as transformers' Pillow backend.

AutoImageProcessor takes that backend where torchvision is not installed. With torchvision it takes classes of the same
settings that resize bytes with torch's kernels (for a few pixels one level of 255 apart) and fuse the scale into mean
and standard deviation (apart in the last bit of float32).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from edgepack.documents import JsonObject
from edgepack.errors import ModelError, UnsupportedModel
from edgepack.runtime.image import unsized
from edgepack.runtime.processing import (
    CenterCrop,
    CenterCropRatio,
    Cropping,
    Image,
    Normalize,
    Resampling,
    Rescale,
    Resize,
    ResizeShortestEdge,
    ResizeWithin,
    Resizing,
    ReverseChannels,
    Size,
    Step,
)
from edgepack.runtime.resize import RESAMPLINGS
from edgepack.tasks import _timm
from edgepack.tasks._image_settings import TENSORS, Settings, find

# The classes whose last step is to pad; the others take no notice of do_pad.
PADDING = {
    "BitImageProcessor", "BlipImageProcessor", "ChineseCLIPImageProcessor", "CLIPImageProcessor", "DeiTImageProcessor",
    "LevitImageProcessor", "MobileNetV1ImageProcessor", "PoolFormerImageProcessor", "PvtImageProcessor",
    "SiglipImageProcessor", "ViTImageProcessor",
}  # fmt: skip
# Models that take images of config.json's image_size alone. The others take any, or what their patches divide.
FIXED = {
    "aimv2_vision_model", "chinese_clip_vision_model", "clip", "clip_vision_model", "deit", "hiera", "ijepa", "levit",
    "metaclip_2", "metaclip_2_vision_model", "pvt", "siglip", "siglip_vision_model", "vit", "vit_mae", "vit_msn",
}  # fmt: skip
_RESIZABLE: tuple[tuple[type[Resizing], tuple[set[str], ...]], ...] = (
    (Resize, ({"height", "width"},)),
    (ResizeShortestEdge, ({"shortest_edge"}, {"shortest_edge", "longest_edge"})),
    (ResizeWithin, ({"max_height", "max_width"},)),
)
_BILINEAR = RESAMPLINGS.index("bilinear")
_WARPED = 384  # pixels from which on ConvNeXT's processor squeezes the image into a square and crops nothing


def read(folder: Path, config: JsonObject) -> Image:
    """Read how images become inputs, for the manifest.

    Raises ModelError and UnsupportedModel, which name the key and the value that cannot be followed.
    """
    if _timm.is_one(config):
        return _timm.image(config)
    settings = find(folder, config)
    _check(settings)
    channels = _channels(settings, config)
    steps = [*_geometry(settings), *_values(settings, channels)]
    return Image(
        input="pixel_values",
        channels=channels,
        size=_size(settings, config, steps),
        alpha="white" if settings.on("do_convert_rgb") else "refuse",
        steps=tuple(steps),
    )


def _check(settings: Settings) -> None:
    """Refuse what no class here can follow, and sizes that are none, used or not. Raises ModelError."""
    if settings.name in TENSORS:
        if settings.on("do_resize") and settings.text("resample") != _BILINEAR:
            raise settings.wrong(
                "resample", f"of {settings.name} edgepack can do the bilinear one alone", '"resample": 2'
            )
        if settings.on("do_center_crop"):
            raise settings.wrong("do_center_crop", f"not supported of {settings.name}", '"do_center_crop": false')
    for key in ("size", "crop_size", "pad_size"):
        if settings.has(key):
            settings.size(key)
    if settings.text("input_data_format") not in (None, "channels_last"):
        raise settings.wrong("input_data_format", "edgepack takes images as [height, width, channels]")
    if settings.text("use_square_size") not in (None, False):
        raise settings.wrong("use_square_size", "not supported", 'use "size": {"height": …, "width": …}')


def _channels(settings: Settings, config: JsonObject) -> Literal[1, 3]:
    """Read the channels of the model's images.

    Raises UnsupportedModel, and ModelError where the processor makes others.
    """
    vision = config.get("vision_config")
    channels = config.get("num_channels", vision.get("num_channels", 3) if isinstance(vision, dict) else 3)
    if isinstance(channels, bool) or channels not in (1, 3):
        raise UnsupportedModel(
            f"config.json: num_channels is {channels!r}: images have 1 or 3 channels",
            hint="choose an image model",
        )
    if channels == 1 and settings.on("do_convert_rgb"):
        raise settings.wrong(
            "do_convert_rgb", "3 channels; the model takes 1 (num_channels)", 'set "do_convert_rgb": false'
        )
    return 1 if channels == 1 else 3


def _geometry(settings: Settings) -> list[Step]:
    """Return the resize and the crop, in the class's order."""
    resize = _resize(settings) if settings.on("do_resize") else []
    if not settings.on("do_center_crop"):
        return resize
    height, width = settings.box("crop_size")
    if settings.name == "SegformerImageProcessor":  # takes no notice, but its crop_size has to be right
        return resize
    if settings.name == "PerceiverImageProcessor":
        inner = settings.box("size")
        return [CenterCropRatio(height_ratio=inner[0] / height, width_ratio=inner[1] / width), *resize]
    return [*resize, CenterCrop(height=height, width=width)]


def _resize(settings: Settings) -> list[Step]:
    number = settings.text("resample")
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(RESAMPLINGS):
        kinds = ", ".join(f"{index} {name}" for index, name in enumerate(RESAMPLINGS))
        raise settings.wrong("resample", "not the number of a resampling", hint=f"the numbers are Pillow's: {kinds}")
    size = settings.size("size", square=settings.on("default_to_square"))
    return _RESIZES.get(settings.name, _plain)(settings, size, RESAMPLINGS[number])


def _plain(settings: Settings, size: Mapping[str, int], resample: Resampling) -> list[Step]:
    kind = next((kind for kind, keys in _RESIZABLE if set(size) in keys), None)
    if kind is None:
        raise settings.wrong(
            "size", f"{settings.name} cannot resize to it", 'give "height" and "width", or "shortest_edge"'
        )
    return [kind(resample=resample, **size)]


def _shortest(settings: Settings, size: Mapping[str, int]) -> int:
    if "shortest_edge" not in size:
        raise settings.wrong("size", f"{settings.name} takes a shortest_edge alone")
    return size["shortest_edge"]


def _convnext(settings: Settings, size: Mapping[str, int], resample: Resampling) -> list[Step]:
    edge = _shortest(settings, size)
    if edge >= _WARPED:
        return [Resize(resample=resample, height=edge, width=edge)]
    larger = ResizeShortestEdge(resample=resample, shortest_edge=_enlarged(settings, edge))
    return [larger, CenterCrop(height=edge, width=edge)]


def _poolformer(settings: Settings, size: Mapping[str, int], resample: Resampling) -> list[Step]:
    if not settings.has("crop_pct"):
        return _plain(settings, size, resample)
    if "shortest_edge" in size:
        return [ResizeShortestEdge(resample=resample, shortest_edge=_enlarged(settings, size["shortest_edge"]))]
    if set(size) != {"height", "width"}:
        return _plain(settings, {}, resample)
    height, width = (_enlarged(settings, size[key]) for key in ("height", "width"))
    if size["height"] == size["width"]:
        return [ResizeShortestEdge(resample=resample, shortest_edge=height)]
    return [Resize(resample=resample, height=height, width=width)]


def _enlarged(settings: Settings, edge: int) -> int:
    larger = int(edge / settings.number("crop_pct"))
    if larger < 1:
        raise settings.wrong("crop_pct", "the share of the image that is kept, as 0.875")
    return larger


def _levit(settings: Settings, size: Mapping[str, int], resample: Resampling) -> list[Step]:
    if "shortest_edge" in size:
        return [ResizeShortestEdge(resample=resample, shortest_edge=int((256 / 224) * size["shortest_edge"]))]
    return _plain(settings, size if set(size) == {"height", "width"} else {}, resample)


def _textnet(settings: Settings, size: Mapping[str, int], resample: Resampling) -> list[Step]:
    edge, unit = _shortest(settings, size), settings.whole("size_divisor")
    return [ResizeShortestEdge(resample=resample, shortest_edge=edge, multiple_of=unit)]


_RESIZES: Mapping[str, Callable[[Settings, Mapping[str, int], Resampling], list[Step]]] = {
    "ConvNextImageProcessor": _convnext,
    "LevitImageProcessor": _levit,
    "PoolFormerImageProcessor": _poolformer,
    "TextNetImageProcessor": _textnet,
}


def _values(settings: Settings, channels: int) -> list[Step]:
    """Return what happens to each value: the channels' order, the scale, mean and standard deviation."""
    steps: list[Step] = []
    mobilevit, efficient = (settings.name == f"{name}ImageProcessor" for name in ("MobileViT", "EfficientNet"))
    if mobilevit and settings.on("do_flip_channel_order"):
        steps.append(ReverseChannels())
    if settings.on("do_rescale"):
        offset = -1.0 if efficient and settings.on("rescale_offset") else 0.0
        steps.append(Rescale(factor=settings.number("rescale_factor"), offset=offset))
    if settings.on("do_normalize") and not mobilevit:  # MobileViT's takes no notice of do_normalize
        mean = settings.per_channel("image_mean", channels)
        steps.append(Normalize(mean=tuple(mean), std=_deviation(settings, channels)))
    if efficient and settings.on("include_top"):  # divides by the standard deviation, once more or alone
        steps.append(Normalize(mean=(0.0,) * channels, std=_deviation(settings, channels)))
    return steps


def _deviation(settings: Settings, channels: int) -> tuple[float, ...]:
    deviation = settings.per_channel("image_std", channels)
    if 0.0 in deviation:
        raise settings.wrong("image_std", "values cannot be divided by 0")
    return tuple(deviation)


def _size(settings: Settings, config: JsonObject, steps: list[Step]) -> Size:
    """Find the size that every image comes out with. Raises ModelError where they differ or do not suit."""
    takes = _takes(config)
    made = _made(steps)
    moves = not unsized(steps)
    found = made or takes
    if found is None or (made is None and moves):
        key, why = ("size", "images keep their proportions, so each has another shape") if moves else (
            "do_resize", "images keep the shape that they come in"
        )  # fmt: skip
        raise settings.wrong(
            key,
            f"{why}, and a bundle takes one",
            hint='set "do_center_crop": true and "crop_size", or "do_resize": true and "size" as height and width',
        )
    if settings.on("do_pad") and settings.name in PADDING and not _padded(settings, made):
        raise settings.wrong("do_pad", "padding is not supported", 'set "do_pad": false')
    if made and takes and made != takes and config.get("model_type") in FIXED:
        raise ModelError(
            f"{settings.file} makes images of {made[0]} x {made[1]} pixels (height x width); the model takes "
            f"{takes[0]} x {takes[1]} (image_size in config.json)",
            hint="one of the two belongs to another model: take both from the same repository",
        )
    return Size(height=found[0], width=found[1])


def _padded(settings: Settings, made: tuple[int, int] | None) -> bool:
    """Return whether images have the size that they would be padded to; without a pad_size that is the batch's
    largest.
    """
    return made is not None and (not settings.has("pad_size") or settings.box("pad_size") == made)


def _made(steps: list[Step]) -> tuple[int, int] | None:
    made: tuple[int, int] | None = None
    for step in steps:
        if isinstance(step, Resizing | Cropping):
            made = (step.height, step.width) if isinstance(step, Resize | CenterCrop) else None
    return made


def _takes(config: JsonObject) -> tuple[int, int] | None:
    """Return height and width of the images that the model was made for, where config.json says so."""
    vision = config.get("vision_config")
    size = config.get("image_size", vision.get("image_size") if isinstance(vision, dict) else None)
    if isinstance(size, list | tuple) and len(size) == 2:
        return int(size[0]), int(size[1])
    return (size, size) if isinstance(size, int) else None
