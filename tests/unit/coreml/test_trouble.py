"""Broken packages and wrong inputs: one line, a hint, an exit code of its own, and nothing else raised."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import get_new_symbol, types
from typer.testing import CliRunner

from edgepack import errors
from edgepack.cli.app import app
from edgepack.coreml import Package, evaluate, versions
from edgepack.errors import EdgepackError

from .conftest import save, values
from .test_compression import SCHEMES, compressed
from .test_programs import stateful

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

MODEL = Path("Data/com.apple.CoreML/model.mlmodel")
WEIGHTS = Path("Data/com.apple.CoreML/weights/weight.bin")
X = values(1, 64)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    @mb.program(input_specs=[mb.TensorSpec((1, 64))], opset_version=ct.target.iOS16)
    def program(x: Any) -> Any:
        return mb.linear(x=x, weight=values(8, 64), bias=values(8), name="out")

    return save(program, tmp_path_factory.mktemp("whole") / "linear.mlpackage", ct.target.iOS16)


@pytest.fixture
def package(whole: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(whole, tmp_path / "linear.mlpackage"))


def joint(path: Path) -> Path:
    """With weights of several constexpr ops."""
    compressed(*SCHEMES["sparse and palettized"][:2]).save(str(path))
    return path


def edit(package: Path, change: Callable[[Any], object]) -> None:
    message = ct.proto.Model_pb2.Model()
    message.ParseFromString((package / MODEL).read_bytes())
    change(message)
    (package / MODEL).write_bytes(message.SerializeToString())


def main(message: Any) -> Any:
    function = message.mlProgram.functions["main"]
    return function.block_specializations[function.opset]


def weight(message: Any) -> Any:
    values = (op.attributes["val"] for op in main(message).operations if op.type == "const")
    return next(one.blobFileValue for one in values if one.WhichOneof("value") == "blobFileValue")


def renamed(package: Path, path: str) -> None:
    file = package / "Manifest.json"
    manifest = json.loads(file.read_text())
    manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"] = path
    file.write_text(json.dumps(manifest))


def linked(package: Path) -> None:
    outside = package.parent / "outside.bin"
    shutil.move(package / WEIGHTS, outside)
    (package / WEIGHTS).symlink_to(outside)


def cut(package: Path, file: Path, by: int) -> None:
    os.truncate(package / file, (package / file).stat().st_size - by)


def overwritten(package: Path, offset: int, raw: bytes) -> None:
    with (package / WEIGHTS).open("r+b") as stream:
        stream.seek(offset)
        stream.write(raw)


def neural_network(package: Path) -> None:
    edit(package, lambda m: m.neuralNetwork.SetInParent())


def older(message: Any) -> None:
    function = message.mlProgram.functions["main"]
    function.block_specializations["CoreML5"].CopyFrom(function.block_specializations[function.opset])
    function.opset = "CoreML5"
    main(message).operations[-1].type = "scaled_dot_product_attention"


def set_field(attribute: str, value: object) -> Callable[[Path], None]:
    return lambda package: edit(package, lambda m: setattr(m, attribute, value))


def on(find: Callable[[Any], Any], attribute: str, value: object) -> Callable[[Path], None]:
    return lambda package: edit(package, lambda m: setattr(find(m), attribute, value))


def last(message: Any) -> Any:
    return main(message).operations[-1]


# what is done to a package -> the error, and what its line says
DAMAGE: dict[str, tuple[Callable[[Path], object], type[EdgepackError], str]] = {
    "no manifest": (lambda p: (p / "Manifest.json").unlink(), errors.PackageError, "is not a Core ML package"),
    "a broken manifest": (lambda p: (p / "Manifest.json").write_text("{"), errors.PackageDamaged, "not valid JSON"),
    "a manifest of something": (lambda p: (p / "Manifest.json").write_text("[1]"), errors.PackageDamaged, "cannot be"),
    "a path upwards": (lambda p: renamed(p, "../../other.mlmodel"), errors.PackageUnsafe, "outside its folder"),
    "an absolute path": (lambda p: renamed(p, "/etc/passwd"), errors.PackageUnsafe, "outside its folder"),
    "a Windows path": (lambda p: renamed(p, "C:\\x.mlmodel"), errors.PackageUnsafe, "outside its folder"),
    "no model": (lambda p: (p / MODEL).unlink(), errors.PackageFileMissing, "lacks"),
    "a cut model": (lambda p: cut(p, MODEL, 40), errors.PackageDamaged, "cannot be read"),
    "no weights": (lambda p: (p / WEIGHTS).unlink(), errors.PackageFileMissing, "weights/weight.bin"),
    "weights behind a link": (linked, errors.PackageUnsafe, "link out of its folder"),
    "cut weights": (lambda p: cut(p, WEIGHTS, 100), errors.PackageDamaged, "is cut short"),
    "empty weights": (lambda p: os.truncate(p / WEIGHTS, 0), errors.PackageDamaged, "is cut short"),
    "no sentinel": (lambda p: overwritten(p, 64, b"\0\0\0\0"), errors.PackageDamaged, "holds no value at 64"),
    "another size": (lambda p: overwritten(p, 72, b"\1"), errors.PackageDamaged, "another value"),
    "another version": (lambda p: overwritten(p, 4, b"\3"), errors.PackageDamaged, "unknown version 3"),
    "an offset beyond": (on(weight, "offset", 1 << 40), errors.PackageDamaged, "is cut short"),
    "weights elsewhere": (on(weight, "fileName", "@model_path/../../x"), errors.PackageUnsafe, "outside its folder"),
    "weights anywhere": (on(weight, "fileName", "/etc/passwd"), errors.PackageUnsafe, "not in the package"),
    "a newer specification": (set_field("specificationVersion", 99), errors.PackageTooNew, "version 99"),
    "a neural network": (neural_network, errors.NotAProgram, "is a neuralNetwork, not an ML Program"),
    "an unknown op": (on(last, "type", "xyz"), errors.UnsupportedOperator, "does not know the op 'xyz'"),
    "a later op": (lambda p: edit(p, older), errors.OperatorTooNew, "needs iOS 18; the package is for iOS 15"),
    "an unknown input": (
        lambda p: edit(p, lambda m: last(m).inputs["z"].CopyFrom(last(m).inputs["x"])),
        errors.UnsupportedOperator, "input 'z' of the op 'linear'"),
    "an input less": (
        lambda p: edit(p, lambda m: last(m).inputs.pop("weight")), errors.PackageDamaged, "lacks inputs"),
    "a name that nothing makes": (
        lambda p: edit(p, lambda m: setattr(last(m).inputs["x"].arguments[0], "name", "nowhere")),
        errors.PackageDamaged, "'nowhere', which nothing"),
    "a newer opset": (
        lambda p: edit(p, lambda m: setattr(m.mlProgram.functions["main"], "opset", "CoreML77")),
        errors.PackageDamaged, "no block for its opset"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told(name: str, package: Path) -> None:
    damage, kind, words = DAMAGE[name]
    damage(package)
    with pytest.raises(kind, match=words.replace("(", r"\(")) as caught:
        evaluate(package, {"x": X})
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


UNSEEN = ("an unknown input", "an input less", "a name that nothing makes")  # until it is computed


@pytest.mark.parametrize("name", [name for name in DAMAGE if name not in UNSEEN])
def test_the_command_tells_damage(name: str, package: Path) -> None:
    damage, kind, words = DAMAGE[name]
    damage(package)
    done = CliRunner().invoke(app, ["inspect", str(package)])
    assert type(done.exception) is kind
    assert words in str(done.exception)


@pytest.mark.parametrize(
    ("name", "code"),
    [("cut weights", 51), ("no weights", 52), ("a path upwards", 53), ("a newer specification", 54),
     ("a neural network", 55), ("a later op", 57)],
)  # fmt: skip
def test_exit_codes(name: str, code: int, package: Path, edgepack: Callable[..., Any]) -> None:
    assert edgepack("inspect", package).returncode == 0
    DAMAGE[name][0](package)
    done = edgepack("inspect", package)
    assert done.returncode == code
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 2  # what is wrong, and what to do


def test_an_op_that_cannot_compute_is_named(package: Path) -> None:
    edit(package, lambda m: last(m).inputs["weight"].CopyFrom(last(m).inputs["bias"]))
    with pytest.raises(errors.EvaluationFailed, match=r"the op 'out' \(linear\) cannot be computed"):
        evaluate(package, {"x": X})


@pytest.mark.parametrize("path", ["nowhere.mlpackage", "model.mlmodelc", "model.mlmodel"])
def test_what_is_no_package(path: str, tmp_path: Path) -> None:
    with pytest.raises(errors.PackageError) as caught:
        Package(tmp_path / path)
    assert caught.value.hint


def cleared(message: Any) -> Iterator[None]:
    """``message`` without one of its fields (or one of several values), each in turn."""
    for field, value in list(message.ListFields()):
        kept = type(message)()
        kept.CopyFrom(message)
        keyed = field.message_type is not None and field.message_type.GetOptions().map_entry
        message.ClearField(field.name)
        yield
        message.CopyFrom(kept)
        value = getattr(message, field.name)
        inner = [value[key] for key in value] if keyed else value if field.is_repeated else [value]
        for one in inner:
            if hasattr(one, "ListFields"):
                yield from cleared(one)


@pytest.mark.parametrize("make", [stateful, joint], ids=["state", "compressed"])
def test_whatever_is_taken_away_is_told(make: Callable[[Path], Path], tmp_path: Path) -> None:
    """It is an error of edgepack's, unless it does no harm."""
    path = make(tmp_path / "model.mlpackage")
    message = ct.proto.Model_pb2.Model()
    message.ParseFromString((path / MODEL).read_bytes())
    specs = Package(path).inputs()
    feeds = {spec.name: np.zeros([int(side) for side in spec.shape], spec.dtype) for spec in specs}
    told = []
    for _ in cleared(message):
        (path / MODEL).write_bytes(message.SerializeToString())
        try:
            package = Package(path, native=False)
            assert len(package.constants()) < 100
            package(feeds)
        except EdgepackError as error:
            told.append(str(error))
    assert len(told) > 50
    assert not any("\n" in line for line in told)


@pytest.mark.parametrize("seed", range(20))
def test_bytes_at_random_are_told_too(seed: int, package: Path) -> None:
    random = np.random.default_rng(seed)
    raw = bytearray((package / MODEL).read_bytes())
    for place in random.integers(0, len(raw), 2):
        raw[place] = random.integers(0, 256)
    (package / MODEL).write_bytes(raw)
    with contextlib.suppress(EdgepackError):
        Package(package, native=False)({"x": X})


WRONG: dict[str, tuple[dict[str, Any], type[EdgepackError], str, str]] = {
    "missing": ({}, errors.InputMissing, "the input 'x' is not given", "it takes float32 [1, 64]"),
    "extra": ({"x": X, "y": X}, errors.InputUnknown, "has no input 'y'", "did you mean|takes x"),
    "integers": ({"x": X.astype(int)}, errors.InputTypeWrong, "takes floats", "astype"),
    "text": ({"x": np.array(["a"])}, errors.InputTypeWrong, "takes floats", "astype"),
    "another shape": ({"x": X[:, :3]}, errors.ShapeNotAllowed, "[1, 3]", "[1, 64]"),
    "another rank": ({"x": X[0]}, errors.ShapeNotAllowed, "[64]", "[1, 64]"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_inputs_are_told(name: str, whole: Path) -> None:
    feeds, kind, words, hint = WRONG[name]
    with pytest.raises(kind) as caught:
        evaluate(whole, feeds)
    assert words in str(caught.value)
    assert any(part in caught.value.hint for part in hint.split("|"))


def test_floats_of_any_width_are_taken(whole: Path) -> None:
    wanted = evaluate(whole, {"x": X})["out"]
    np.testing.assert_array_equal(evaluate(whole, {"x": X.astype(np.float64)})["out"], wanted)


def test_unknown_names(whole: Path) -> None:
    package = Package(whole, native=False)
    for call in (
        lambda: package({"x": X}, function="other"),
        lambda: package({"x": X}, precision="float16"),
        lambda: package.shapes("y"),
        lambda: package.weight("y"),
        lambda: package.with_weights({"y": X}),
    ):
        with pytest.raises(errors.UnknownName):
            call()
    name = package.constants()[0].name
    with pytest.raises(errors.ShapeNotAllowed):
        package.with_weights({name: X})


def test_shapes_outside_a_range(tmp_path: Path) -> None:
    @mb.program(
        input_specs=[mb.TensorSpec((1, get_new_symbol())), mb.TensorSpec((1,), types.int32)],
        opset_version=ct.target.iOS16,
    )
    def program(x: Any, n: Any) -> Any:
        return mb.add(x=x, y=mb.cast(x=n, dtype="fp32"), name="out")

    shape = ct.EnumeratedShapes([(1, 2), (1, 6)])
    for said, hint in (((1, ct.RangeDim(2, 8)), "[1, 2..8]"), (shape, "[1, 2], [1, 6]")):
        path = save(
            program,
            tmp_path / "flexible.mlpackage",
            ct.target.iOS16,
            inputs=[ct.TensorType(name="x", shape=said), ct.TensorType(name="n", shape=(1,), dtype=np.int32)],
        )
        with pytest.raises(errors.ShapeNotAllowed, match=r"\[1, 9\]") as caught:
            evaluate(path, {"x": values(1, 9), "n": np.array([1])})
        assert hint in caught.value.hint
        with pytest.raises(errors.InputTypeWrong, match="takes integers"):
            evaluate(path, {"x": values(1, 2), "n": np.array([1.0])})


def test_a_wrong_state_is_told(tmp_path: Path) -> None:
    @mb.program(
        input_specs=[mb.TensorSpec((2,), types.fp16), mb.StateTensorSpec((2,), types.fp16)],
        opset_version=ct.target.iOS18,
    )
    def program(x: Any, memory: Any) -> Any:
        return mb.add(x=x, y=mb.read_state(input=memory), name="out")

    package, x = Package(save(program, tmp_path / "s.mlpackage", ct.target.iOS18), native=False), np.ones(2, np.float16)
    good = np.zeros(2, np.float16)
    for state, kind in (
        ({}, errors.InputMissing),
        ({"memory": good, "more": good}, errors.InputUnknown),
        ({"memory": good.astype(int)}, errors.InputTypeWrong),
        ({"memory": np.zeros(3, np.float16)}, errors.ShapeNotAllowed),
    ):
        with pytest.raises(kind):
            package({"x": x}, state=state)


@pytest.mark.skipif(sys.platform == "darwin", reason="there Core ML itself is")
def test_core_ml_itself_is_elsewhere(whole: Path) -> None:
    with pytest.raises(errors.UsageError, match="Mac"):
        Package(whole, native=True)


def test_the_table_of_opsets_is_coremltools_own() -> None:
    from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

    first = {op: min(int(version) for version in found) for op, found in SSAOpRegistry.core_ops.items()}
    later = {op: version for op, version in first.items() if version > 6}
    assert later == {op: version for op, version in versions.SINCE.items() if op != "write_state"}
    assert versions.SINCE["write_state"] == versions.SINCE["read_state"]
    assert {version: opset for opset, version in versions._VERSIONS.items()}.items() <= ct._OPSET.items()
