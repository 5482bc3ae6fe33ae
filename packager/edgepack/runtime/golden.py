"""Golden vectors: inputs with the original model's outputs, by which a bundle proves itself on a device."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepack.errors import BundleDamaged
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.types import Array, Run

_DTYPES = {"F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "|u1", "BOOL": "|b1"}


@dataclass(frozen=True)
class GoldenResult:
    """The cosine of each vector's output to the original's, and the least that is allowed."""

    cosines: tuple[float, ...]
    least: float

    @property
    def passed(self) -> bool:
        """Whether every vector is close enough."""
        return bool(self.cosines) and min(self.cosines) >= self.least


def check(run: Run, manifest: Manifest) -> GoldenResult:
    """Run the bundle's golden vectors through ``run``."""
    facts = manifest.table["golden"]
    tensors = read(manifest.folder / facts["file"])
    name = facts["output"]
    cosines = []
    for index in range(sum(key.endswith(f".output.{name}") for key in tensors)):
        start = f"{index}.input."
        feeds = {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}
        cosines.append(_cosine(run(feeds)[name], tensors[f"{index}.output.{name}"]))
    return GoldenResult(tuple(cosines), float(facts["least_cosine"]))


def read(file: Path) -> dict[str, Array]:
    """The tensors of a safetensors file: 8 bytes header length, a JSON header, the data."""
    raw = file.read_bytes()
    try:
        length = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8 : 8 + length])
        data = memoryview(raw)[8 + length :]
        return {
            name: np.frombuffer(data[slice(*entry["data_offsets"])], _DTYPES[entry["dtype"]]).reshape(entry["shape"])
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (ValueError, KeyError, TypeError) as error:
        raise BundleDamaged(f"{file} cannot be read", hint="copy the bundle again") from error


def _cosine(a: Array, b: Array) -> float:
    x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    norm = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / norm if norm else float(np.array_equal(x, y))
