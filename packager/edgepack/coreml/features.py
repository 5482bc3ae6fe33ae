"""Inputs and outputs of a package: its features as TensorSpecs, and the shapes that each input may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgepack.coreml.values import Message
from edgepack.errors import PackageDamaged, ShapeNotAllowed
from edgepack.records import TensorSpec

_DTYPES = {65568: "float32", 65600: "float64", 131104: "int32", 131080: "int8", 65552: "float16"}
_COLOURS = {10: "grey", 20: "RGB", 30: "BGR", 40: "grey float16"}
_SHOWN = 8  # shapes in a hint


@dataclass(frozen=True)
class Shapes:
    """The shapes that an input may have: the ``default``, one of ``enumerated``, or any within ``ranges``.

    Images have [height, width, channels]. An upper bound of -1 is none.
    """

    default: tuple[int, ...]
    enumerated: tuple[tuple[int, ...], ...] = ()
    ranges: tuple[tuple[int, int], ...] = ()

    def allow(self, shape: tuple[int, ...]) -> bool:
        """Return whether ``shape`` is one of them."""
        if self.ranges:
            within = (low <= side and (high < 0 or side <= high) for side, (low, high) in zip(shape, self.ranges))  # noqa: B905
            return len(shape) == len(self.ranges) and all(within)
        return shape in (self.enumerated or (self.default,))

    @property
    def sides(self) -> tuple[int | str, ...]:
        """Sides as in a TensorSpec: a size, "1..512", "1.." or "32|64"."""
        if self.ranges:
            return tuple(low if low == high else f"{low}..{high if high >= 0 else ''}" for low, high in self.ranges)
        if not self.enumerated:
            return self.default
        found = [sorted(set(sides)) for sides in zip(*self.enumerated)]  # noqa: B905
        return tuple(sides[0] if len(sides) == 1 else "|".join(map(str, sides)) for sides in found)

    def check(self, name: str, shape: tuple[int, ...]) -> None:
        """Raises ShapeNotAllowed."""
        if not self.allow(shape):
            some = ", ".join(str(list(one)) for one in self.enumerated[:_SHOWN])
            allowed = some or f"[{', '.join(map(str, self.sides))}]"
            raise ShapeNotAllowed(f"the input {name!r} has the shape {list(shape)}", hint=f"the model takes {allowed}")


@dataclass(frozen=True)
class Feature:
    """One input, output or state. ``kind``: array, image, string, int64, double or dictionary."""

    name: str
    kind: str
    dtype: str = ""  # numpy's; of an image uint8 or float16
    shapes: Shapes = Shapes(())
    colour: str = ""
    optional: bool = False
    fallback: float = 0.0  # of an optional input
    description: str = ""

    @property
    def spec(self) -> TensorSpec:
        """The feature as one of the project's records."""
        return TensorSpec(name=self.name, dtype=self.dtype or self.kind, shape=self.shapes.sides)


@dataclass(frozen=True)
class Interface:
    """Inputs, outputs and states of one function."""

    inputs: Mapping[str, Feature]
    outputs: Mapping[str, Feature]
    states: Mapping[str, Feature]
    label: str = ""  # of a classifier: the output with the most likely class


def interfaces(description: Message) -> tuple[dict[str, Interface], str]:
    """Return (function -> its interface, the default function) of a ``ModelDescription`` message.

    Raises PackageDamaged.
    """
    if description.functions:
        found = {message.name: _interface(message) for message in description.functions}
        return found, description.defaultFunctionName or next(iter(found))
    return {"main": _interface(description)}, "main"


def _interface(message: Message) -> Interface:
    inputs, outputs, states = (
        {one.name: _feature(one) for one in part} for part in (message.input, message.output, message.state)
    )
    return Interface(inputs, outputs, states, message.predictedFeatureName)


def _feature(message: Message) -> Feature:
    kind = message.type.WhichOneof("Type")
    words = message.shortDescription
    if kind == "imageType":
        return _image(message.name, message.type.imageType, words)
    if kind in ("multiArrayType", "stateType"):
        array = message.type.multiArrayType if kind == "multiArrayType" else message.type.stateType.arrayType
        if array.dataType not in _DTYPES:
            raise PackageDamaged(f"the feature {message.name!r} has the unknown dtype {array.dataType}")
        fallback = array.WhichOneof("defaultOptionalValue")
        return Feature(
            message.name,
            "array",
            _DTYPES[array.dataType],
            _array_shapes(array),
            optional=message.type.isOptional,
            fallback=getattr(array, fallback) if fallback else 0.0,
            description=words,
        )
    return Feature(message.name, str(kind).removesuffix("Type"), description=words)


def _array_shapes(array: Message) -> Shapes:
    default = tuple(map(int, array.shape))
    flexible = array.WhichOneof("ShapeFlexibility")
    if flexible == "enumeratedShapes":
        return Shapes(default, tuple(tuple(map(int, one.shape)) for one in array.enumeratedShapes.shapes))
    if flexible == "shapeRange":
        return Shapes(default, ranges=tuple(map(_range, array.shapeRange.sizeRanges)))
    return Shapes(default)


def _image(name: str, image: Message, words: str) -> Feature:
    colour = _COLOURS.get(image.colorSpace)
    if colour is None:
        raise PackageDamaged(f"the image {name!r} has the unknown colour space {image.colorSpace}")
    channels = 3 if colour in ("RGB", "BGR") else 1
    default, flexible = (int(image.height), int(image.width), channels), image.WhichOneof("SizeFlexibility")
    shapes = Shapes(default)
    if flexible == "enumeratedSizes":
        sizes = tuple((int(one.height), int(one.width), channels) for one in image.enumeratedSizes.sizes)
        shapes = Shapes(default, sizes)
    elif flexible == "imageSizeRange":
        sides = (image.imageSizeRange.heightRange, image.imageSizeRange.widthRange)
        shapes = Shapes(default, ranges=(*map(_range, sides), (channels, channels)))
    return Feature(name, "image", "float16" if "16" in colour else "uint8", shapes, colour, description=words)


def _range(message: Message) -> tuple[int, int]:
    return int(message.lowerBound), int(message.upperBound)
