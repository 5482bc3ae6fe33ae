"""The weight file and the package around it against coremltools' own writer and readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil.frontend.milproto import load as milproto
from coremltools.libmilstoragepython import _BlobStorageWriter
from coremltools.libmodelpackage import ModelPackage

from edgepack.formats.coreml.builder.store import Store
from edgepack.formats.coreml.builder.writer import _packed

from .conftest import FP16, described

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

_RANDOM = np.random.default_rng(2)
_FLOATS = _RANDOM.normal(size=(5, 7)).astype(np.float32)
_WHOLE = _RANDOM.integers(-100, 100, (5, 7)).astype(np.int8)
_FOURS, _SIXES = (_RANDOM.integers(0, 1 << bits, (5, 7)).astype(np.uint8) for bits in (4, 6))
# the values as they are handed to our store, the name and the argument of coremltools' method
_WRITTEN: list[tuple[str, np.ndarray, str, np.ndarray]] = [
    ("float32", _FLOATS, "float", _FLOATS),
    ("float16", _FLOATS.astype(np.float16), "fp16", _FLOATS.astype(np.float16).view(np.uint16)),
    ("int8", _WHOLE, "int8", _WHOLE),
    ("int32", _WHOLE.astype(np.int32), "int32", _WHOLE.astype(np.int32)),
    ("int4", _packed(_FOURS ^ 8, 4), "int4", _FOURS.astype(np.int8) - 8),
    ("uint4", _packed(_FOURS, 4), "uint4", _FOURS),
    ("uint6", _packed(_SIXES, 6), "uint6", _SIXES),
]


def test_the_bytes_that_coremltools_writes(tmp_path: Path) -> None:
    theirs = _BlobStorageWriter(str(tmp_path / "theirs"))
    with Store(tmp_path / "ours") as ours:
        for kind, packed, method, values in _WRITTEN:
            offset = getattr(theirs, f"write_{method}_data")(np.ascontiguousarray(values.ravel()))
            assert ours.add(kind, (5, 7), [packed]).offset == offset
    del theirs  # which closes the file
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_too_few_bytes(tmp_path: Path) -> None:
    with Store(tmp_path / "file") as store, pytest.raises(ValueError, match="4 bytes"):
        store.add("float32", (5, 7), [np.zeros(1, np.float32)])


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2"])
def test_coremltools_opens_it(name: str, family: Any, tmp_path: Path) -> None:
    out = tmp_path / "model.mlpackage"
    artifact = described(family(name)[0]).compress(out, FP16, [])
    assert ModelPackage.isValid(str(out))
    model = ct.models.MLModel(str(out), skip_model_load=True)
    program = milproto.load(model.get_spec(), specification_version=9, file_weights_dir=model.weights_dir)
    program.validate()
    (output,) = program.functions["main"].outputs
    assert output.name == artifact.outputs[0].name == "logits"
    spec = model.get_spec()
    assert [one.name for one in spec.description.state] == ["keyCache", "valueCache"]
    ranges = spec.description.input[1].type.multiArrayType.shapeRange.sizeRanges
    assert [(side.lowerBound, side.upperBound) for side in ranges] == [(1, 1), (1, 1), (1, 32), (1, 32)]
