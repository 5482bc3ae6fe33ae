"""Loops, branches, lists, states, several functions, flexible shapes, pictures and classifiers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import get_new_symbol, types
from PIL import Image

from edgepack.coreml import Package, evaluate
from edgepack.records import TensorSpec

from .conftest import save, values

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

X = np.arange(4, dtype=np.float32)


def test_a_loop_runs_while_its_condition_holds(tmp_path: Path) -> None:
    @mb.program(input_specs=[mb.TensorSpec((4,)), mb.TensorSpec((1,), types.int32)], opset_version=ct.target.iOS16)
    def program(x: Any, count: Any) -> Any:
        made = mb.while_loop(
            _cond=lambda i, _: mb.less(x=i, y=mb.squeeze(x=count)),
            _body=lambda i, y: (mb.add(x=i, y=1), mb.add(x=mb.mul(x=y, y=2.0), y=x)),
            loop_vars=(0, x),
        )
        return mb.identity(x=made[1], name="out")

    package = Package(save(program, tmp_path / "loop.mlpackage", ct.target.iOS16), native=False)
    for count in (0, 1, 3):
        wanted = X * (2 ** (count + 1) - 1)
        found = package({"x": X, "count": np.array([count])})["out"]
        np.testing.assert_allclose(found, wanted)


def test_a_branch_is_taken(tmp_path: Path) -> None:
    @mb.program(input_specs=[mb.TensorSpec((4,))], opset_version=ct.target.iOS16)
    def program(x: Any) -> Any:
        positive = mb.greater(x=mb.reduce_sum(x=x, axes=[0]), y=0.0)
        made = mb.cond(pred=positive, _true_fn=lambda: mb.mul(x=x, y=3.0), _false_fn=lambda: mb.sub(x=x, y=1.0))
        return mb.identity(x=made, name="out")

    package = Package(save(program, tmp_path / "branch.mlpackage", ct.target.iOS16), native=False)
    np.testing.assert_allclose(package({"x": X})["out"], X * 3)
    np.testing.assert_allclose(package({"x": -X})["out"], -X - 1)


def test_lists_are_read_and_written(tmp_path: Path) -> None:
    @mb.program(input_specs=[mb.TensorSpec((2, 4))], opset_version=ct.target.iOS16)
    def program(x: Any) -> Any:
        rows = mb.make_list(init_length=3, elem_shape=(4,), dtype="fp32")
        rows = mb.list_scatter(ls=rows, indices=[0, 2], value=x)
        rows = mb.list_write(ls=rows, index=1, value=mb.list_read(ls=rows, index=2))
        length = mb.expand_dims(x=mb.list_length(ls=rows), axes=[0])
        return mb.list_gather(ls=rows, indices=[1, 0, 2], name="out"), mb.identity(x=length, name="length")

    x = values(2, 4)
    found = evaluate(save(program, tmp_path / "list.mlpackage", ct.target.iOS16), {"x": x})
    np.testing.assert_array_equal(found["out"], x[[1, 0, 1]])
    assert int(found["length"].item()) == 3


def stateful(path: Path) -> Path:
    """Adds x to a state, at a place; gives the state's double."""

    @mb.program(
        input_specs=[
            mb.TensorSpec((1, 4), types.fp16),
            mb.TensorSpec((1,), types.int32),
            mb.StateTensorSpec((3, 4), types.fp16),
        ],
        opset_version=ct.target.iOS18,
    )
    def program(x: Any, place: Any, memory: Any) -> Any:
        before = mb.read_state(input=memory)
        begin = mb.concat(values=[place, [0]], axis=0)
        end = mb.concat(values=[mb.add(x=place, y=1), [4]], axis=0)
        after = mb.slice_update(x=before, update=x, begin=begin, end=end)
        kept = mb.coreml_update_state(state=memory, value=after)
        return mb.mul(x=kept, y=np.float16(2.0), name="out")

    return save(program, path, ct.target.iOS18)


def test_a_state_lives_between_calls(tmp_path: Path) -> None:
    package = Package(stateful(tmp_path / "state.mlpackage"), native=False)
    assert package.states() == (TensorSpec(name="memory", dtype="float16", shape=(3, 4)),)
    state, wanted = package.state(), np.zeros((3, 4), np.float16)
    held = state["memory"]
    for place in (2, 0):
        x = values(1, 4, seed=place).astype(np.float16)
        wanted[place] = x
        found = package({"x": x, "place": np.array([place])}, state=state)["out"]
        assert found.dtype == np.float16
        np.testing.assert_array_equal(found, wanted * 2)
        np.testing.assert_array_equal(held, wanted)
    fresh = package({"x": x, "place": np.array([0])})["out"]
    assert not fresh[2].any(), "without a state each call starts anew"


def test_updates_in_place_leave_what_was_read_before(tmp_path: Path) -> None:
    @mb.program(
        input_specs=[mb.TensorSpec((1, 4), types.fp16), mb.StateTensorSpec((2, 4), types.fp16)],
        opset_version=ct.target.iOS18,
    )
    def program(x: Any, memory: Any) -> Any:
        first = mb.read_state(input=memory)
        view = mb.slice_by_index(x=first, begin=[0, 0], end=[1, 4])
        second = mb.read_state(input=memory)
        after = mb.slice_update(x=second, update=x, begin=[0, 0], end=[1, 4])
        kept = mb.coreml_update_state(state=memory, value=after)
        again = mb.slice_update(x=kept, update=view, begin=[1, 0], end=[2, 4])
        mb.coreml_update_state(state=memory, value=again)
        return mb.identity(x=view, name="old"), mb.identity(x=kept, name="kept")

    package = Package(save(program, tmp_path / "alias.mlpackage", ct.target.iOS18), native=False)
    state = {"memory": values(2, 4).astype(np.float16)}
    before, x = state["memory"].copy(), np.full((1, 4), 7, np.float16)
    found = package({"x": x}, state=state)
    np.testing.assert_array_equal(found["old"], before[:1])
    np.testing.assert_array_equal(found["kept"], np.concatenate([x, before[1:]]))
    np.testing.assert_array_equal(state["memory"], np.concatenate([x, before[:1]]))


def times(path: Path, factor: float) -> Path:
    @mb.program(input_specs=[mb.TensorSpec((4,))], opset_version=ct.target.iOS18)
    def program(x: Any) -> Any:
        return mb.mul(x=x, y=factor, name="out")

    return save(program, path, ct.target.iOS18)


def test_functions_are_told_apart(tmp_path: Path) -> None:
    parts = [(times(tmp_path / "two.mlpackage", 2.0), "double"), (times(tmp_path / "three.mlpackage", 3.0), "triple")]
    both = ct.utils.MultiFunctionDescriptor()
    for path, name in parts:
        both.add_function(str(path), src_function_name="main", target_function_name=name)
    both.default_function_name = "triple"
    ct.utils.save_multifunction(both, str(tmp_path / "both.mlpackage"))
    package = Package(tmp_path / "both.mlpackage", native=False)
    assert package.functions == ("triple", "double")
    assert package.operators == {"mul": 2}
    np.testing.assert_allclose(package({"x": X})["out"], X * 3)
    np.testing.assert_allclose(package({"x": X}, function="double")["out"], X * 2)


def flexible(path: Path, shape: Any) -> Path:
    @mb.program(input_specs=[mb.TensorSpec((1, get_new_symbol()))], opset_version=ct.target.iOS16)
    def program(x: Any) -> Any:
        length = mb.shape(x=x)
        return mb.tile(x=mb.reshape(x=x, shape=mb.concat(values=[length, [1]], axis=0)), reps=[1, 1, 2], name="out")

    return save(program, path, ct.target.iOS16, inputs=[ct.TensorType(name="x", shape=shape)])


def test_flexible_shapes(tmp_path: Path) -> None:
    package = Package(flexible(tmp_path / "range.mlpackage", (1, ct.RangeDim(2, 8, default=3))), native=False)
    assert package.inputs() == (TensorSpec(name="x", dtype="float32", shape=(1, "2..8")),)
    assert package.shapes("x").ranges == ((1, 1), (2, 8))
    assert package.shapes("x").default == (1, 3)
    for side in (2, 5, 8):
        x = values(1, side)
        np.testing.assert_array_equal(package({"x": x})["out"], np.stack([x, x], -1))
    chosen = ct.EnumeratedShapes([(1, 2), (1, 6)], default=(1, 2))
    package = Package(flexible(tmp_path / "chosen.mlpackage", chosen), native=False)
    assert package.inputs()[0].shape == (1, "2|6")
    assert set(package.shapes("x").enumerated) == {(1, 2), (1, 6)}
    assert package({"x": values(1, 6)})["out"].shape == (1, 6, 2)


@pytest.mark.parametrize("layout", ["RGB", "BGR", "GRAYSCALE"])
def test_pictures_go_in_and_out(layout: str, tmp_path: Path) -> None:
    channels = 1 if layout == "GRAYSCALE" else 3

    @mb.program(input_specs=[mb.TensorSpec((1, channels, 6, 5))], opset_version=ct.target.iOS16)
    def program(x: Any) -> Any:
        return mb.identity(x=x, name="seen"), mb.sub(x=255.0, y=x, name="negative")

    colour = getattr(ct.colorlayout, layout)
    program.functions["main"].set_output_types([ct.TensorType(), ct.ImageType(color_layout=colour)])
    path = save(
        program,
        tmp_path / "picture.mlpackage",
        ct.target.iOS16,
        inputs=[ct.ImageType(name="x", shape=(1, channels, 6, 5), color_layout=colour)],
    )
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, channels), dtype=np.uint8)
    package = Package(path, native=False)
    assert package.inputs() == (TensorSpec(name="x", dtype="uint8", shape=(6, 5, channels)),)
    found = package({"x": pixels})
    seen = found["seen"][0].transpose(1, 2, 0)
    np.testing.assert_array_equal(seen[..., ::-1] if layout == "BGR" else seen, pixels)
    np.testing.assert_array_equal(found["negative"], 255 - pixels)
    picture = Image.fromarray(pixels if channels == 3 else pixels[..., 0])
    np.testing.assert_array_equal(package({"x": picture})["seen"], found["seen"])


@pytest.mark.parametrize("labels", [["cat", "dog", "owl"], [7, 8, 9]])
def test_a_classifier_names_the_likeliest(labels: list[Any], tmp_path: Path) -> None:
    @mb.program(input_specs=[mb.TensorSpec((1, 3))], opset_version=ct.target.iOS16)
    def program(x: Any) -> Any:
        return mb.softmax(x=x, name="probabilities")

    config = ct.ClassifierConfig(labels, predicted_feature_name="label")
    path = save(program, tmp_path / "classifier.mlpackage", ct.target.iOS16, classifier_config=config)
    found = evaluate(path, {"x": np.array([[0.0, 2.0, 1.0]], np.float32)})
    assert found["label"] == labels[1]
    assert list(found["label_probs"]) == labels
    assert sum(found["label_probs"].values()) == pytest.approx(1)


def test_precision_is_the_programs_or_full(tmp_path: Path) -> None:
    @mb.program(input_specs=[mb.TensorSpec((1, 8), types.fp16)], opset_version=ct.target.iOS17)
    def program(x: Any) -> Any:
        return mb.exp(x=x, name="out")

    package = Package(save(program, tmp_path / "half.mlpackage", ct.target.iOS17), native=False)
    x = values(1, 8).astype(np.float16)
    rounded, full = package({"x": x})["out"], package({"x": x}, precision="float32")["out"]
    assert (rounded.dtype, full.dtype) == (np.float16, np.float32)
    np.testing.assert_array_equal(rounded, np.exp(x.astype(np.float32)).astype(np.float16))
    np.testing.assert_allclose(full, np.exp(x.astype(np.float32)), rtol=1e-6)
    beyond = package({"x": np.full((1, 8), 12, np.float16)})["out"]
    assert np.isinf(beyond).all(), "float16 ends at 65504"


def test_what_is_said_of_a_package(tmp_path: Path) -> None:
    @mb.program(input_specs=[mb.TensorSpec((1, 64))], opset_version=ct.target.iOS15)
    def program(x: Any) -> Any:
        return mb.relu(x=mb.linear(x=x, weight=values(8, 64), name="first"), name="out")

    model = ct.convert(program, minimum_deployment_target=ct.target.iOS15, skip_model_load=True)
    model.author, model.license, model.short_description, model.version = "A", "MIT", "adds", "2"
    model.input_description["x"] = "numbers"
    model.user_defined_metadata["note"] = "kept"
    model.save(str(tmp_path / "told.mlpackage"))
    package = Package(tmp_path / "told.mlpackage")
    assert (package.specification_version, package.minimum_deployment) == (6, "iOS 15")
    assert package.metadata | {"user_defined": package.metadata["user_defined"]["note"]} == {
        "author": "A",
        "license": "MIT",
        "description": "adds",
        "version": "2",
        "features": {"x": "numbers"},
        "user_defined": "kept",
    }
    assert package.operators["linear"] == 1
    weight = next(one for one in package.constants() if one.parameters == 512)
    assert (weight.dtype, weight.shape, weight.bytes, weight.scheme) == ("float16", (8, 64), 1024, "dense")
    assert weight.readers == ("linear",)


def test_weights_are_tried_without_changing_the_package(tmp_path: Path) -> None:
    @mb.program(input_specs=[mb.TensorSpec((1, 64))], opset_version=ct.target.iOS16)
    def program(x: Any) -> Any:
        return mb.linear(x=x, weight=values(8, 64), name="out")

    package = Package(save(program, tmp_path / "linear.mlpackage", ct.target.iOS16), native=False)
    (name,) = [one.name for one in package.constants() if one.parameters == 512]
    np.testing.assert_array_equal(package.weight(name), values(8, 64))
    x, other = values(1, 64, seed=1), values(8, 64, seed=2)
    np.testing.assert_allclose(package.with_weights({name: other})({"x": x})["out"], x @ other.T, rtol=1e-4)
    np.testing.assert_allclose(package({"x": x})["out"], x @ values(8, 64).T, rtol=1e-4)
