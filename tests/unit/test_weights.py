"""Safetensors headers: whole files are read, every kind of damage is told."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save_file
from safetensors.torch import save_file as save_torch

from edgepack import weights
from edgepack.errors import DamagedWeights, ModelError, UnsafeModel, UnsupportedModel


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_file({"a": np.ones((2, 3), np.float32), "b": np.zeros(5, np.int64)}, path)
    return path


def test_tensors_are_listed(file: Path) -> None:
    found = {tensor.name: tensor for tensor in weights.tensors(file)}
    assert (found["a"].dtype, found["a"].shape, found["a"].parameters) == ("F32", (2, 3), 6)
    assert weights.files(file.parent) == [file]


def test_what_we_write_the_library_reads() -> None:
    tensors = {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "ids": np.array([[1, 2]], np.int64)}
    back = load(weights.encode(tensors))
    assert back.keys() == tensors.keys()
    for name, value in tensors.items():
        np.testing.assert_array_equal(back[name], value)


def header(entry: object) -> bytes:
    text = json.dumps({"a": entry}).encode()
    return struct.pack("<Q", len(text)) + text


GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"1234",
        struct.pack("<Q", 1 << 40) + b"{}",
        struct.pack("<Q", 10) + b"not json!!",
        header(GOOD)[:-3],
        header(GOOD) + b"1234",
        header(GOOD) + b"1" * 12,
        header({**GOOD, "dtype": "F99"}) + b"1" * 8,
        header({**GOOD, "shape": [3]}) + b"1" * 8,
        header({**GOOD, "data_offsets": [4, 12]}) + b"1" * 12,
        header({"dtype": "F32"}) + b"1" * 8,
        header([1, 2]) + b"1" * 8,
    ],
)
def test_damage_is_told(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw)
    with pytest.raises(DamagedWeights) as error:
        weights.tensors(path)
    assert error.value.hint


def test_a_truncated_file(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(DamagedWeights):
        weights.tensors(file)


def test_a_git_lfs_pointer(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(DamagedWeights, match="Git LFS pointer"):
        weights.tensors(tmp_path / "model.safetensors")


def test_only_pickled_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(UnsafeModel, match="run code"):
        weights.files(tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        weights.files(tmp_path)


def test_a_missing_shard(file: Path) -> None:
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    file.rename(file.with_name("one.safetensors"))
    file.with_name("model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(DamagedWeights, match=r"two\.safetensors"):
        weights.files(file.parent)
    file.with_name("model.safetensors.index.json").write_text("[]")
    with pytest.raises(DamagedWeights):
        weights.files(file.parent)


def stored(folder: Path, tensor: torch.Tensor) -> weights.Stored:
    save_torch({"first": torch.zeros(3), "w": tensor}, folder / "model.safetensors")
    return next(found for found in weights.tensors(folder / "model.safetensors") if found.name == "w")


def test_every_half_is_widened_exactly(tmp_path: Path) -> None:
    bits = np.arange(1 << 16, dtype=np.uint16).view(np.float16)  # subnormals, infinities and NaN among them
    whole = bits.reshape(256, 256)
    found = weights.read(stored(tmp_path, torch.from_numpy(whole.copy())))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, whole.astype(np.float32))
    finite = np.where(np.isfinite(whole), whole, 0)
    found = weights.read(stored(tmp_path, torch.from_numpy(finite.astype(np.float16))))
    np.testing.assert_array_equal(found.view(np.uint32), finite.astype(np.float32).view(np.uint32))  # -0 too


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("part", [slice(None), slice(3, 7), slice(9, 9), (slice(None), slice(2, 5))])
def test_a_part_is_read_as_float32(tmp_path: Path, dtype: torch.dtype, part: slice | tuple[slice, ...]) -> None:
    torch.manual_seed(1)
    tensor = (torch.randn(11, 9) * 100).to(dtype)
    found = weights.read(stored(tmp_path, tensor), part)
    np.testing.assert_array_equal(found, tensor.float().numpy()[part])
    assert found.dtype == np.float32
    found += 1  # it is the reader's own, and not the file
    np.testing.assert_array_equal(weights.read(stored(tmp_path, tensor), part), tensor.float().numpy()[part])


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.uint8, torch.float8_e4m3fn])
def test_quantized_weights_are_refused(tmp_path: Path, dtype: torch.dtype) -> None:
    with pytest.raises(UnsupportedModel, match=r"'w' is stored as .*quantized before") as error:
        weights.read(stored(tmp_path, torch.ones(4, 4).to(dtype)))
    assert "bf16, fp16 or fp32" in error.value.hint
