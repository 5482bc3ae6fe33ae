"""Values that a caller passes and gets: checked, and as the program takes and gives them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgepack.arrays import Array
from edgepack.coreml.features import Feature
from edgepack.coreml.values import Value
from edgepack.errors import InputMissing, InputTypeWrong, InputUnknown, ShapeNotAllowed, nearest

_KINDS = {"float32": "f", "float64": "f", "float16": "f", "int32": "iu", "int8": "iu"}
_WORDS = {"f": "floats", "iu": "integers"}


def arrays(features: Mapping[str, Feature], given: Mapping[str, Value]) -> dict[str, Array]:
    """Return each input of ``features``: arrays in its own dtype, images as [1, channels, height, width] in float32.

    Raises InputMissing, InputUnknown, InputTypeWrong, ShapeNotAllowed.
    """
    for name in given:
        if name not in features:
            close = nearest(str(name), features)
            hint = f"did you mean {close!r}?" if close else f"the model takes {', '.join(features)}"
            raise InputUnknown(f"the model has no input {name!r}", hint=hint)
    return {name: _one(feature, given) for name, feature in features.items()}


def held(features: Mapping[str, Feature], state: Mapping[str, Value] | None) -> dict[str, Array]:
    """Return the arrays of ``state``, or zeros. Raises as ``arrays`` does."""
    if state is None:
        return {name: np.zeros(feature.shapes.default, feature.dtype) for name, feature in features.items()}
    for name in state:
        if name not in features:
            raise InputUnknown(f"the model has no state {name!r}", hint=f"it has {', '.join(features) or 'none'}")
    for name, feature in features.items():
        if name not in state:
            raise InputMissing(f"the state {name!r} is not given", hint="package.state() makes a fresh one")
        if not isinstance(state[name], np.ndarray) or state[name].dtype.kind != "f":
            raise InputTypeWrong(
                f"the state {name!r} is not an array of floats", hint="package.state() makes a fresh one"
            )
        if state[name].shape != feature.shapes.default:
            raise ShapeNotAllowed(
                f"the state {name!r} has the shape {list(state[name].shape)}", hint=f"it has {feature.spec.shape}"
            )
    return {name: state[name] for name in features}


def _one(feature: Feature, given: Mapping[str, Value]) -> Array:
    if feature.name not in given:
        if feature.optional:
            return np.full(feature.shapes.default, feature.fallback, feature.dtype)
        raise InputMissing(f"the input {feature.name!r} is not given", hint=_example(feature))
    if feature.kind == "image":
        return _image(feature, given[feature.name])
    if feature.kind != "array":
        raise InputTypeWrong(f"the input {feature.name!r} is a {feature.kind}, which ML Programs do not compute on")
    array = np.asarray(given[feature.name])
    kind = _KINDS[feature.dtype]
    if array.dtype.kind not in kind:
        raise InputTypeWrong(
            f"the input {feature.name!r} takes {_WORDS[kind]} ({feature.dtype}), not {array.dtype}",
            hint=f'array.astype("{feature.dtype}")',
        )
    feature.shapes.check(feature.name, array.shape)
    return array.astype(feature.dtype)


def _image(feature: Feature, given: Value) -> Array:
    """Make the array of a PIL image or of uint8 [height, width, channels] in RGB; grey ones may lack the channels."""
    grey = feature.colour.startswith("grey")
    if hasattr(given, "convert"):
        given = given.convert("L" if grey else "RGB")
    array = np.asarray(given)
    wide = feature.dtype == "float16"
    if array.dtype != np.uint8 and not (wide and array.dtype.kind == "f"):
        raise InputTypeWrong(
            f"the input {feature.name!r} takes an image (uint8 [height, width, channels]), not {array.dtype}",
            hint="pass a PIL image, or np.asarray of one",
        )
    array = array[..., None] if array.ndim == 2 else array
    feature.shapes.check(feature.name, array.shape)
    array = array[..., ::-1] if feature.colour == "BGR" else array
    return np.ascontiguousarray(array.transpose(2, 0, 1)[None], np.float32)


def _example(feature: Feature) -> str:
    shape = ", ".join(map(str, feature.spec.shape))
    return f"it takes {'an image' if feature.kind == 'image' else feature.dtype} [{shape}]"


def result(feature: Feature, made: Value, declared: bool) -> Value:
    """Return an output as callers get it: an array, an image's bytes, a label or a dictionary."""
    if not isinstance(made, np.ndarray):
        return made
    if feature.kind == "image":
        pixels = made[0].transpose(1, 2, 0)
        pixels = pixels[..., ::-1] if feature.colour == "BGR" else pixels
        return (
            pixels.astype(np.float16)
            if feature.dtype == "float16"
            else np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
        )
    wide = feature.dtype == "float16" and not declared
    return made.astype(np.float32 if wide else feature.dtype) if feature.dtype else made
