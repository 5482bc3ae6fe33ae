"""The settings of a model's image processor: which class it is, and what its file and its class say of each key.

A key that the file does not have takes the class's value; ``null`` in the file is None, which is not the same: it
turns off what the class would do. So it is in transformers, whose classes are listed in image_processors.toml.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard

from edgepack.documents import Json, JsonObject
from edgepack.errors import ModelError, UnsupportedModel, nearest
from edgepack.tasks import _timm, read_config

FILE, NESTED = "preprocessor_config.json", "processor_config.json"
_TABLE = tomllib.loads(Path(__file__).with_name("image_processors.toml").read_text("utf-8"))
CLASSES: Mapping[str, JsonObject] = _TABLE["classes"]
TENSORS: Mapping[str, JsonObject] = _TABLE["tensors"]  # classes that resize tensors of float32, with torchvision alone
MODELS: Mapping[str, str] = _TABLE["models"]
_KNOWN = {**CLASSES, **TENSORS}

# Keys that the classes read, beside those that they have a value for.
READ = {"rescale_factor", "do_pad", "pad_size", "input_data_format", "use_square_size"}
# Keys that change no pixel: names, what is returned and where it is computed, and what is done to segmentation maps.
IRRELEVANT = {
    "image_processor_type", "feature_extractor_type", "processor_class", "auto_map", "data_format", "device",
    "disable_grouping", "return_tensors", "image_seq_length", "do_reduce_labels", "reduce_labels",
    "do_resize_and_center_crop", "model_input_names", "use_fast", "_valid_processor_keys", "_valid_kwargs_names",
}  # fmt: skip
_SIZES = (
    {"height", "width"},
    {"shortest_edge"},
    {"shortest_edge", "longest_edge"},
    {"longest_edge"},
    {"max_height", "max_width"},
    {"min_pixels", "max_pixels"},
)
_LONGEST = 1 << 14  # pixels of a side; more is a slip of the pen
_TORCHVISION = {"PPLCNetImageProcessor", "CHMv2ImageProcessor", "Tipsv2ImageProcessor"}


class Settings:
    """The settings of an image processor's file and class; each value is checked when it is asked for.

    ``wrong`` makes the error that names a key, its value and the file.
    """

    def __init__(self, file: Path, name: str, given: JsonObject) -> None:
        self.file, self.name = file, name
        known = READ | IRRELEVANT | {key for defaults in _KNOWN.values() for key in defaults}
        for key, value in given.items():
            if key not in known and value is not None:
                close = nearest(key, known, least=0.85)  # do_grayscale is no misspelling of do_rescale
                raise UnsupportedModel(
                    f"{file}: edgepack does not know what the key {key!r} ({_short(value)}) does to images",
                    hint=f"did you mean {close!r}?" if close else "take it out if it does nothing",
                )
        self._values = {"rescale_factor": 1 / 255, **_KNOWN[name], **given}

    def wrong(self, key: str, why: str, hint: str = "copy the file from the model's repository") -> ModelError:
        """Return the error for a value that cannot be followed."""
        return ModelError(f'{self.file}: "{key}" is {_short(self._values.get(key))}: {why}', hint=hint)

    def has(self, key: str) -> bool:
        """Return whether the key has a value, from the file or the class."""
        return self._values.get(key) is not None

    def text(self, key: str) -> Json:
        """Return the value as it is."""
        return self._values.get(key)

    def on(self, key: str) -> bool:
        """Return whether a step is done; null means no. Raises ModelError for what is not true, false or null."""
        value = self._values.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(key, "not true, false or null")
        return bool(value)

    def number(self, key: str) -> float:
        """Return a finite number that is not zero. Raises ModelError."""
        value = self._values.get(key)
        if not _is_number(value) or value == 0:
            raise self.wrong(key, "not a number, or zero")
        return float(value)

    def whole(self, key: str) -> int:
        """Return a whole number of pixels. Raises ModelError."""
        return self._side(key, self._values.get(key))

    def per_channel(self, key: str, channels: int) -> list[float]:
        """Return a number per channel; one number is for all. Raises ModelError."""
        value = self._values.get(key)
        if _is_number(value):
            return [float(value)] * channels
        if not isinstance(value, list) or not all(_is_number(each) for each in value):
            raise self.wrong(key, "not a list of numbers")
        if len(value) != channels:
            what = "channel" if channels == 1 else "channels"
            raise self.wrong(key, f"{len(value)} numbers; the model's images have {channels} {what}")
        return [float(each) for each in value]

    def size(self, key: str, *, square: bool = True) -> dict[str, int]:
        """Return the sides that a size names; one number is both (``square``) or the shorter one. Raises ModelError."""
        value = self._values.get(key)
        if isinstance(value, list) and len(value) == 2:
            value = dict(zip(("height", "width"), value, strict=True))
        elif not isinstance(value, dict):
            value = dict.fromkeys(("height", "width") if square else ("shortest_edge",), self._side(key, value))
        if set(value) not in _SIZES:
            keys = "; ".join(", ".join(sorted(names)) for names in _SIZES[:5])
            raise self.wrong(key, "not a size", hint=f"a size has one of these sets of keys: {keys}")
        return {side: self._side(key, pixels) for side, pixels in value.items() if pixels is not None}

    def box(self, key: str) -> tuple[int, int]:
        """Return height and width. Raises ModelError for another kind of size."""
        size = self.size(key)
        if set(size) != {"height", "width"}:
            raise self.wrong(key, "it needs a height and a width")
        return size["height"], size["width"]

    def _side(self, key: str, value: Json) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LONGEST:
            raise self.wrong(key, f"a side must be a whole number of 1 to {_LONGEST:,} pixels")
        return value


def find(folder: Path, config: JsonObject) -> Settings:
    """Return the settings of the model in ``folder``, found where transformers' AutoImageProcessor looks.

    Raises ModelError where there are none or one is wrong, UnsupportedModel for a class or a key that is not known.
    """
    file, given = _given(folder)
    name = _named(file, given, config)
    base = name.removesuffix("Fast").removesuffix("Pil")
    if base not in _KNOWN:
        raise _unknown(file, name)
    return Settings(file, base, given)


def needs_torchvision(folder: Path) -> bool:
    """Return whether transformers has the image processor of the model in ``folder`` for torchvision alone."""
    config = read_config(folder / "config.json")
    return not _timm.is_one(config) and find(folder, config).name in TENSORS


def _given(folder: Path) -> tuple[Path, JsonObject]:
    """Return the file and its settings: those nested in processor_config.json go before preprocessor_config.json."""
    nested = read_config(folder / NESTED).get("image_processor")
    if nested is not None:
        if not isinstance(nested, dict):
            raise ModelError(
                f'{folder / NESTED}: "image_processor" is not an object',
                hint="copy the file again from the model's repository",
            )
        return folder / NESTED, nested
    given = read_config(folder / FILE)
    if not given:
        raise ModelError(
            f"{folder} has no {FILE}, so it is unclear how images are prepared",
            hint="copy it from the model's repository",
        )
    return folder / FILE, given


def _named(file: Path, given: JsonObject, config: JsonObject) -> str:
    """Return the class's name: the file's, its older form, the model's configuration's, or by the kind of model."""
    code = given.get("auto_map") or {}
    name = given.get("image_processor_type")
    if name is None and "AutoImageProcessor" not in code and given.get("feature_extractor_type") is not None:
        name = str(given["feature_extractor_type"]).replace("FeatureExtractor", "ImageProcessor")
    if name is None:
        name = config.get("image_processor_type")
    if name is None:
        name = MODELS.get(str(config.get("model_type")))
    if name is None and code:
        raise UnsupportedModel(
            f"{file}: the image processor is code of the model's own (auto_map), which edgepack does not run",
            hint=f'if one of transformers does the same, name it in "image_processor_type": {", ".join(_KNOWN)}',
        )
    if name is None:
        raise ModelError(
            f"{file} does not name its class, and transformers knows none for models of the type "
            f"{config.get('model_type')!r}",
            hint=f'add "image_processor_type": one of {", ".join(_KNOWN)}',
        )
    return str(name)


def _unknown(file: Path, name: str) -> UnsupportedModel:
    base = name.removesuffix("Fast")
    why = "transformers has it for torchvision alone, which resizes otherwise" if base in _TORCHVISION else ""
    return UnsupportedModel(
        f"{file}: the image processor {name} is not supported{': ' + why if why else ''}",
        hint=f"supported are {', '.join(_KNOWN)}",
    )


def _is_number(value: Json) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _short(value: Json) -> str:
    told = json.dumps(value, default=str)
    return told if len(told) <= 60 else told[:57] + "…"
