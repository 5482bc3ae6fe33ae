"""Say what is in a package: interface, operators, and the weights' bytes by component."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
from coremltools.proto import MIL_pb2 as mil

from edgepack.coreml import Package, renaming
from edgepack.coreml.folder import model_file, weight_file
from edgepack.formats.coreml._mil import Node
from edgepack.formats.coreml.builder.store import read
from edgepack.formats.coreml.export.compressed import Encoding
from edgepack.formats.coreml.export.compression import LEAST, TABLE
from edgepack.quantization.components import component
from edgepack.records import Artifact, Component, Coverage, Skipped

_TYPES: Mapping[int, np.dtype[Any]] = {mil.FLOAT16: np.dtype(np.float16), mil.FLOAT32: np.dtype(np.float32)}


@dataclass(frozen=True)
class _Constant:
    name: str
    shape: tuple[int, ...]
    bytes: int
    readers: tuple[str, ...]
    mask: bool  # of two values, one that shows and one that hides: computed by the model's code, no weight

    @property
    def parameters(self) -> int:
        return 0 if self.mask else prod(self.shape)


def describe(
    out: Path, opset: int, before: Path, names: Mapping[str, str], stored: Mapping[str, Encoding] | None
) -> Artifact:
    """Return the Artifact at ``out``, whose weights ``stored`` holds by their names in the float program ``before``.

    ``names`` are PyTorch's, by those in the program; None is stored where all was to stay float.
    """
    constants = list(_constants(before, names))
    package = Package(out)
    told = package.metadata["user_defined"].get(renaming.RENAMING)
    usual = renaming.read(told).usual if told else tuple  # the manifest names what sessions take and give
    return Artifact(
        path=out,
        format="coreml",
        opset=opset,
        inputs=usual(package.inputs()),
        outputs=usual(package.outputs()),
        components=_components(constants, names, stored or {}),
        coverage=Coverage(compressed=0, total=0) if stored is None else _coverage(constants, names, stored),
        operators=dict(sorted(package.operators.items())),
        bytes=sum(file.stat().st_size for file in out.rglob("*") if file.is_file()),
    )


def _main(spec: Node) -> Node:
    function = spec.mlProgram.functions["main"]
    return function.block_specializations[function.opset]


def _constants(package: Path, names: Mapping[str, str]) -> Iterator[_Constant]:
    """Yield the float constants that lie in the weight file of ``package``."""
    block = _main(ct.utils.load_spec(str(package)))
    readers: dict[str, set[str]] = defaultdict(set)
    for op in block.operations:
        for argument in op.inputs.values():
            for binding in argument.arguments:
                readers[binding.name].add(op.type)
    for op in block.operations:
        if op.type != "const" or op.attributes["val"].WhichOneof("value") != "blobFileValue":
            continue
        kind = op.attributes["val"].type.tensorType
        if kind.dataType in _TYPES:
            shape = tuple(side.constant.size for side in kind.dimensions)
            name = op.outputs[0].name
            size = prod(shape) * _TYPES[kind.dataType].itemsize
            mask = name not in names and len(shape) > 1 and _is_mask(package, op, kind.dataType)
            yield _Constant(name, shape, size, tuple(sorted(readers[name])), mask)


def _is_mask(package: Path, op: Node, kind: int) -> bool:
    value = op.attributes["val"].blobFileValue
    _, data = read(weight_file(package, model_file(package), value.fileName), value.offset)
    return len(np.unique(data.view(_TYPES[kind]))) == 2


def _components(
    constants: list[_Constant], names: Mapping[str, str], stored: Mapping[str, Encoding]
) -> tuple[Component, ...]:
    parameters: dict[str, int] = defaultdict(int)
    size: dict[str, int] = defaultdict(int)
    for constant in constants:
        part = component(names.get(constant.name, constant.name))
        part = "conv" if part == "other" and constant.readers == ("conv",) else part
        parameters[part] += constant.parameters
        size[part] += stored[constant.name].bytes if constant.name in stored else constant.bytes
    return tuple(Component(name=part, parameters=parameters[part], bytes=size[part]) for part in sorted(size))


def _coverage(constants: list[_Constant], names: Mapping[str, str], stored: Mapping[str, Encoding]) -> Coverage:
    """Count the coverage over all weights that are not vectors."""
    matrices = [c for c in constants if c.parameters >= LEAST and max(c.shape) < c.parameters]
    left = [constant for constant in matrices if constant.name not in stored]
    return Coverage(
        compressed=sum(constant.parameters for constant in matrices) - sum(c.parameters for c in left),
        total=sum(constant.parameters for constant in matrices),
        skipped=tuple(Skipped(tensor=names.get(c.name, c.name), reason=_reason(c)) for c in left),
    )


def _reason(constant: _Constant) -> str:
    if constant.readers == ("gather",) and constant.parameters < TABLE:
        return "a small embedding table"
    return f"used by {' and '.join(constant.readers)}, which cannot take it compressed"
