"""Core ML itself beside the evaluator: on a Mac; elsewhere only how it is asked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
from PIL import Image

from edgepack.coreml import Package, mac
from edgepack.coreml.features import Feature, Interface, Shapes

from .conftest import values
from .test_models import converted
from .test_programs import stateful

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

on_a_mac = pytest.mark.skipif(sys.platform != "darwin", reason="Core ML itself is on a Mac alone")
NEAR = 2e-2  # relative to the largest: kernels may accumulate in float16


@on_a_mac
@pytest.mark.parametrize("name", ["bert", "vit"])
def test_core_ml_itself_gives_what_the_evaluator_gives(name: str, tmp_path: Path) -> None:
    package, feeds, _ = converted(name, tmp_path / "model.mlpackage", ct.target.iOS17, ct.precision.FLOAT16)
    native = Package(package.path, native=True)(feeds)["out"]
    np.testing.assert_allclose(native, package(feeds)["out"], atol=NEAR * np.abs(native).max())


@on_a_mac
def test_states_of_core_ml_itself_are_those_of_the_evaluator(tmp_path: Path) -> None:
    path = stateful(tmp_path / "state.mlpackage")
    feeds = {"x": values(1, 4).astype(np.float16), "place": np.array([1])}
    states = []
    for native in (True, False):
        package = Package(path, native=native)
        states.append(package.state())
        package(feeds, state=states[-1])
    np.testing.assert_array_equal(states[0]["memory"], states[1]["memory"])


class State(dict[str, Any]):
    """As coremltools' MLState."""

    def write_state(self, name: str, value: Any) -> None:
        self[name] = np.array(value)

    def read_state(self, name: str) -> Any:
        return self[name]


class Model:
    """As coremltools' MLModel: keeps what it is given, and answers."""

    def __init__(self, path: str, function_name: str | None = None) -> None:
        self.asked: dict[str, Any] = {}
        self.function = function_name

    def make_state(self) -> State:
        return State()

    def predict(self, data: dict[str, Any], state: State | None = None) -> dict[str, Any]:
        self.asked = data
        if state is not None:
            state.write_state("memory", state.read_state("memory") + 1)
        return {"out": Image.fromarray(np.full((2, 2), 7, np.uint8)), "label": "cat"}


@pytest.mark.parametrize("colour", ["RGB", "BGR", "grey"])
def test_images_and_states_are_handed_over(colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ct.models, "MLModel", Model)
    shape = (4, 5, 1 if colour == "grey" else 3)
    interface = Interface({"x": Feature("x", "image", "uint8", Shapes(shape), colour)}, {}, {})
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    ordered = pixels[..., ::-1] if colour == "BGR" else pixels
    native, memory = mac.Native(Path("any.mlpackage"), "main"), np.zeros(3, np.float16)
    given = {"x": np.ascontiguousarray(ordered.transpose(2, 0, 1)[None], np.float32)}
    made = native("other", interface, given, {"memory": memory})
    model = native._models["other"]
    np.testing.assert_array_equal(np.asarray(model.asked["x"]).reshape(shape), pixels)
    assert model.function == "other"
    assert made["label"] == "cat"
    np.testing.assert_array_equal(made["out"], np.full((2, 2), 7))
    np.testing.assert_array_equal(memory, np.ones(3))
