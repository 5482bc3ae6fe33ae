"""The safetensors format: read the headers (what is stored, is the file whole) and write small files.

``files`` chooses a model folder's files (choice.py), ``foreign`` names what other tools quantized, ``names`` accounts
for every stored tensor, ``lora`` reads adapters.

Format: 8 bytes little-endian header length, a JSON header {name: {dtype, shape, data_offsets}}, then the data
(https://huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from edgepack.arrays import Array
from edgepack.documents import Json, JsonDict, JsonObject, parse_json
from edgepack.errors import DamagedWeights, UnsupportedModel
from edgepack.weights.choice import files as files

_BITS = {
    "C64": 64, "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
    "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8,
}  # fmt: skip
_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_MOST = 1 << 62  # of bytes, or along a dimension
_LONGEST_HEADER = 100_000_000  # the format's own limit
_BEYOND_HALF = np.float32(65536)  # that infinity and NaN seem to be when their bits are moved
_POINTER = b"version https://git-lfs"
_AGAIN = "download or copy the file again"


class Delta(Protocol):
    """The update that an adapter makes to a tensor."""

    def merged(self, values: Array, part: slice | tuple[slice, ...], /) -> Array:
        """Return ``values``, which are ``part`` of the tensor in float32, with the adapter's."""


@dataclass(frozen=True)
class Stored:
    """One tensor of a safetensors file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    offset: int  # of its first byte in the file
    delta: Delta | None = None  # of an adapter, added to what is read

    @property
    def parameters(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Length in the file."""
        return self.parameters * _BITS[self.dtype] // 8


def tensors(file: Path) -> list[Stored]:
    """Return the tensors that ``file`` holds. Raises DamagedWeights when it is not whole."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        if start == _POINTER[:8]:
            raise DamagedWeights(f"{file} is a Git LFS pointer, not the weights", hint="git lfs pull")
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(size - 8, _LONGEST_HEADER):
            raise DamagedWeights(f"{file} is cut short or not a safetensors file", hint=_AGAIN)
        header = _header(stream.read(length), file)
    end = _checked_end(header, file)
    if end != size - 8 - length:
        raise DamagedWeights(f"{file} holds {size - 8 - length:,} bytes of data, not the {end:,} it names", hint=_AGAIN)
    return [
        Stored(name, entry["dtype"], tuple(entry["shape"]), file, 8 + length + entry["data_offsets"][0])
        for name, entry in header.items()
    ]


def read(stored: Stored, part: slice | tuple[slice, ...] = slice(None)) -> Array:
    """Return ``part`` of a tensor of floats as float32; only it is read.

    Raises UnsupportedModel for a quantized one.
    """
    values = _read(stored, part)
    return values if stored.delta is None else stored.delta.merged(values, part)


def values(stored: Stored) -> int:
    """Return how many of a model's parameters a tensor is: none of integers, of MXFP4's blocks two in a byte."""
    if stored.dtype == "U8" and stored.name.endswith("_blocks"):
        return 2 * stored.parameters
    scales = stored.dtype == "U8" and stored.name.endswith("_scales")
    return 0 if scales or stored.dtype in {"I64", "I32"} else stored.parameters


def read_bytes(stored: Stored, part: slice) -> Array:
    """Return ``part`` of a tensor of bytes as uint8; only it is read."""
    mapped = np.memmap(stored.file, np.uint8, "r", stored.offset, stored.shape)
    return np.array(np.asarray(mapped)[part])


def _read(stored: Stored, part: slice | tuple[slice, ...]) -> Array:
    if stored.dtype not in _FLOATS:
        raise UnsupportedModel(
            f"the weight {stored.name!r} is stored as {stored.dtype}, so the model was quantized before",
            hint="start from the original weights: bf16, fp16 or fp32",
        )
    stored_as = np.memmap(stored.file, _FLOATS[stored.dtype], "r", stored.offset, stored.shape)
    mapped: Array = np.asarray(stored_as)[part]
    if stored.dtype == "BF16":  # the upper half of a float32
        return np.asarray(np.left_shift(mapped.astype(np.uint32), 16).view(np.float32))
    return _widened(mapped) if stored.dtype == "F16" else np.array(mapped, np.float32)


def _widened(half: Array) -> Array:
    """Return float16 as float32, by moving the bits: a third of the time that numpy takes.

    The exponents lie 112 apart (IEEE 754), and multiplying by 2^112 makes subnormal numbers right too. Moved up as
    integers with a sign, the copies of the sign bit below the topmost have to go.
    """
    wide = np.empty(half.shape, np.float32)
    bits = wide.view(np.int32)
    np.left_shift(half.view(np.int16), 13, out=bits, dtype=np.int32)
    bits &= -0x70000001
    wide *= np.float32(2.0**112)
    finite = not wide.size or max(wide.max(), -wide.min()) < _BEYOND_HALF
    return wide if finite else half.astype(np.float32)  # infinity and NaN have an exponent of their own


def _header(raw: bytes, file: Path) -> dict[str, JsonObject]:
    try:
        header = parse_json(raw, f"the header of {file}", DamagedWeights, hint=_AGAIN)
        header.pop("__metadata__", None)
        return {name: dict(entry) for name, entry in header.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise DamagedWeights(f"{file} has a header that cannot be read", hint=_AGAIN) from error


def _checked_end(header: Mapping[str, JsonObject], file: Path) -> int:
    """Return where the data must end; the tensors must lie side by side without holes."""
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: _begin(item[1])):
        bits = _BITS.get(str(entry.get("dtype")))
        if bits is None:
            raise DamagedWeights(f"{file}: tensor {name!r} has an unknown dtype {entry.get('dtype')!r}", hint=_AGAIN)
        try:
            begin, stop = (_whole(value) for value in entry["data_offsets"])
            wanted = math.prod(_whole(value) for value in entry["shape"]) * bits // 8
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedWeights(f"{file}: the entry of tensor {name!r} is broken", hint=_AGAIN) from error
        if begin != end or stop - begin != wanted:
            raise DamagedWeights(f"{file}: tensor {name!r} has other offsets than its shape needs", hint=_AGAIN)
        end = stop
    return end


def _whole(value: Json) -> int:
    """Return a count. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise ValueError(value)
    return value


def _begin(entry: JsonObject) -> int:
    """Return where a tensor begins, as far as its entry can be read; who checks the entry says what is wrong."""
    offsets = entry.get("data_offsets")
    first = offsets[0] if isinstance(offsets, list) and offsets else 0
    return first if isinstance(first, int) else 0


_NAMES = {"float32": "F32", "int64": "I64", "int32": "I32", "uint8": "U8", "bool": "BOOL"}


def encode(tensors: Mapping[str, np.ndarray]) -> bytes:
    """Return a safetensors file's bytes, the same for the same tensors: widest dtype first, then by name."""
    header: JsonDict = {}
    parts: list[bytes] = []
    end = 0
    for name in sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name)):
        array = tensors[name]
        parts.append(np.ascontiguousarray(array).tobytes())
        header[name] = {
            "dtype": _NAMES[str(array.dtype)],
            "shape": list(array.shape),
            "data_offsets": [end, end + len(parts[-1])],
        }
        end += len(parts[-1])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *parts])
