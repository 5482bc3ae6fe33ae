"""The same computed by Core ML itself, through coremltools' proxy: on a Mac alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import coremltools as ct
import numpy as np
from PIL import Image

from edgepack.arrays import Array
from edgepack.coreml.features import Feature, Interface
from edgepack.coreml.values import Value


class Native:
    """``native(function, interface, values, states)``: the outputs; ``states`` are changed."""

    def __init__(self, path: Path, default: str) -> None:
        self._path, self._default = path, default
        self._models: dict[str, Value] = {}

    def __call__(
        self, function: str, interface: Interface, values: Mapping[str, Array], states: Mapping[str, Array]
    ) -> dict[str, Value]:
        """Predict, and return the outputs as Package's call does."""
        model = self._model(function)
        given = {name: _handed(interface.inputs[name], array) for name, array in values.items()}
        if not states:
            made = model.predict(given)
        else:
            held = model.make_state()
            for name, array in states.items():
                held.write_state(name, array)
            made = model.predict(given, held)
            for name, array in states.items():
                np.copyto(array, held.read_state(name).reshape(array.shape), casting="same_kind")
        return {name: np.asarray(value) if isinstance(value, Image.Image) else value for name, value in made.items()}

    def _model(self, function: str) -> Value:
        if function not in self._models:
            named = None if function == self._default else function
            self._models[function] = ct.models.MLModel(str(self._path), function_name=named)
        return self._models[function]


def _handed(feature: Feature, array: Array) -> Value:
    """Return images as PIL has them; they were checked as [1, channels, height, width]."""
    if feature.kind != "image":
        return array
    pixels = array[0, ::-1] if feature.colour == "BGR" else array[0]
    if pixels.shape[0] == 1:
        return Image.fromarray(pixels[0] if feature.dtype == "float16" else pixels[0].astype(np.uint8))
    return Image.fromarray(pixels.astype(np.uint8).transpose(1, 2, 0))
