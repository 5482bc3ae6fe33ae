"""Say what is in a package: interface, operators, and the weights' bytes by component."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import coremltools as ct
from coremltools.proto import MIL_pb2 as mil

from edgepack.coreml import Package, renaming
from edgepack.formats.coreml._mil import Node
from edgepack.formats.coreml.export.compressed import Encoding
from edgepack.formats.coreml.export.compression import LEAST, TABLE
from edgepack.quantization.components import component
from edgepack.records import Artifact, Component, Coverage, Skipped

_BYTES = {mil.FLOAT16: 2, mil.FLOAT32: 4}


@dataclass(frozen=True)
class _Constant:
    name: str
    shape: tuple[int, ...]
    bytes: int
    readers: tuple[str, ...]

    @property
    def parameters(self) -> int:
        return prod(self.shape)


def describe(
    out: Path, opset: int, before: Path, names: Mapping[str, str], stored: Mapping[str, Encoding] | None
) -> Artifact:
    """Return the Artifact at ``out``, whose weights ``stored`` holds by their names in the float program ``before``.

    ``names`` are PyTorch's, by those in the program; None is stored where all was to stay float.
    """
    constants = list(_constants(_main(ct.utils.load_spec(str(before)))))
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


def _constants(block: Node) -> Iterator[_Constant]:
    """Yield the float constants that lie in the weight file."""
    readers: dict[str, set[str]] = defaultdict(set)
    for op in block.operations:
        for argument in op.inputs.values():
            for binding in argument.arguments:
                readers[binding.name].add(op.type)
    for op in block.operations:
        if op.type != "const" or op.attributes["val"].WhichOneof("value") != "blobFileValue":
            continue
        kind = op.attributes["val"].type.tensorType
        if kind.dataType in _BYTES:
            shape = tuple(side.constant.size for side in kind.dimensions)
            name = op.outputs[0].name
            yield _Constant(name, shape, prod(shape) * _BYTES[kind.dataType], tuple(sorted(readers[name])))


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
    return f"read by {' and '.join(constant.readers)}"
