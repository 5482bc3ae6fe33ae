"""Each form in a saved package: what the evaluator and coremltools restore, and the bytes that it takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools as ct
import coremltools.optimize.coreml as cto
import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import types

from edgepack import coreml
from edgepack.formats.coreml._package import save
from edgepack.formats.coreml.export import encoders
from edgepack.formats.coreml.export.compressed import Affine, Encoding, Floats, Sparse
from edgepack.formats.coreml.export.compression import Weight, compress

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

RANDOM = np.random.default_rng(11)
TARGETS = {16: ct.target.iOS16, 18: ct.target.iOS18}
# by the operator that reads it: sides that neither 16 nor 32 divides, and some that they do
SHAPES = {"linear": (45, 50), "conv": (24, 6, 3, 3), "gather": (66, 40), "matmul": (48, 64)}
WEIGHTS = {kind: RANDOM.normal(size=shape).astype(np.float16) for kind, shape in SHAPES.items()}
_ENTRY, _BLOBS = 128, 4  # bytes beside each blob of the weight file, alignment included; blobs of a form at most


def sparse(make: Callable[[np.ndarray, np.ndarray], Any]) -> Callable[[np.ndarray], Encoding]:
    def made(value: np.ndarray) -> Encoding:
        mask = encoders.kept(value, 0.5, None)
        return Sparse(mask, make(value, mask))

    return made


def floats(value: np.ndarray, mask: np.ndarray) -> Floats:
    return Floats(encoders.matrix(value).astype(np.float16), value.shape)


# name -> (opset, form, how the evaluator calls it)
FORMS: dict[str, tuple[int, Callable[[np.ndarray], Encoding], str]] = {
    "channels": (16, encoders.per_channel, "linear"),
    "channels, iOS 18": (18, encoders.per_channel, "linear"),
    **{f"{bits} bits in blocks": (18, lambda v, b=bits: encoders.blockwise(v, b, 32), "linear") for bits in (4, 8)},
    **{f"palette {bits}": (16, lambda v, b=bits: encoders.palettized(v, b), "palettized") for bits in (1, 2, 4, 6, 8)},
    **{f"palettes {b}": (18, lambda v, b=b: encoders.palettized(v, b, 16), "palettized") for b in (2, 3, 4, 8)},
    "palette of integers": (18, lambda v: encoders.palettized_integers(v, 4), "palettized+linear"),
    "palettes of integers": (18, lambda v: encoders.palettized_integers(v, 3, 16), "palettized+linear"),
    "sparse": (16, sparse(floats), "sparse"),
    "sparse, iOS 18": (18, sparse(floats), "sparse"),
    "sparse channels": (18, sparse(lambda v, m: encoders.per_channel(v)), "sparse+linear"),
    "sparse blocks": (18, sparse(lambda v, m: encoders.blockwise(v, 4, 32)), "sparse+linear"),
    "sparse palette": (18, sparse(lambda v, m: encoders.palettized(v, 4, 0, m)), "sparse+palettized"),
    "sparse palettes": (18, sparse(lambda v, m: encoders.palettized(v, 3, 16, m)), "sparse+palettized"),
    "sparse palettes of integers": (
        18, sparse(lambda v, m: encoders.palettized_integers(v, 4, 16, m)), "sparse+palettized+linear"),
}  # fmt: skip


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """By opset, a float package whose weights each have another reader."""
    folder = tmp_path_factory.mktemp("programs")
    for opset, target in TARGETS.items():
        save(
            ct.convert(program(target), minimum_deployment_target=target, skip_model_load=True),
            folder / f"{opset}.mlpackage",
        )
    return {opset: folder / f"{opset}.mlpackage" for opset in TARGETS}


def program(target: Any) -> Any:
    specs = [((2, 50), types.fp16), ((1, 6, 5, 5), types.fp16), ((3,), types.int32), ((2, 48), types.fp16)]

    @mb.program(input_specs=[mb.TensorSpec(*spec) for spec in specs], opset_version=target)
    def made(x: Any, picture: Any, ids: Any, y: Any) -> Any:
        return (
            mb.linear(x=x, weight=WEIGHTS["linear"], bias=np.zeros(45, np.float16), name="a"),
            mb.conv(x=picture, weight=WEIGHTS["conv"], name="b"),
            mb.gather(x=WEIGHTS["gather"], indices=ids, axis=0, name="c"),
            mb.matmul(x=y, y=WEIGHTS["matmul"], name="d"),
        )

    return made


def written(package: Path, opset: int, make: Callable[[np.ndarray], Encoding], out: Path) -> dict[str, Encoding]:
    """The form of each weight by its reader, of the compressed model that is saved at ``out``."""
    stored: dict[str, Encoding] = {}

    def choose(weight: Weight) -> Encoding:
        stored[weight.readers[0]] = make(weight.value.astype(np.float32))
        return stored[weight.readers[0]]

    save(compress(package, choose, newest=opset == 18), out)
    return stored


def decompressed(package: Path) -> dict[str, np.ndarray]:
    """What coremltools makes of the weights, by their readers."""
    roles = {"linear": "weight", "conv": "weight", "gather": "x", "matmul": "y"}
    model = ct.models.MLModel(str(package), skip_model_load=True)
    operations = cto.decompress_weights(model)._mil_program.functions["main"].operations
    return {op.op_type: op.inputs[roles[op.op_type]].val for op in operations if op.op_type in roles}


def beside(form: Encoding, opset: int) -> int:
    """Bytes of iOS 16's operators beside the form's own: a zero point for each row and an axis, or a shape."""
    if opset == 18:
        return 0
    return len(form.scale) + 4 if isinstance(form, Affine) else 4 * form.restored().ndim


@pytest.mark.parametrize("name", FORMS)
def test_a_form(name: str, programs: dict[int, Path], tmp_path: Path) -> None:
    opset, make, scheme = FORMS[name]
    stored = written(programs[opset], opset, make, tmp_path / "one.mlpackage")
    assert stored.keys() == SHAPES.keys()
    package = coreml.Package(tmp_path / "one.mlpackage", native=False)
    constants = {one.readers[0]: one for one in package.constants() if one.parameters >= 1024}
    theirs = decompressed(tmp_path / "one.mlpackage")
    for kind, form in stored.items():
        restored = form.restored()
        assert constants[kind].scheme == scheme
        assert constants[kind].bytes == form.bytes + beside(form, opset)
        np.testing.assert_array_equal(package.weight(constants[kind].name), restored)
        np.testing.assert_array_equal(theirs[kind], restored)
    written(programs[opset], opset, make, tmp_path / "two.mlpackage")
    one, two = (file_of(tmp_path / f"{which}.mlpackage") for which in ("one", "two"))
    assert one == two
    room = len(one) - sum(form.bytes for form in stored.values())
    assert 0 < room < _ENTRY * (1 + _BLOBS * len(stored)) + 1024  # biases and zero points too


def file_of(package: Path) -> bytes:
    return (package / "Data" / "com.apple.CoreML" / "weights" / "weight.bin").read_bytes()
