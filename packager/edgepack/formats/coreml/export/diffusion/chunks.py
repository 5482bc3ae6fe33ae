"""A package split into two where a device takes no more weights in one file: what the first gives, the second takes.

It is cut as Apple's chunk_mlprogram.py does: after the first operation past half of the weights' bytes whose result
one other reads alone. What is read on both sides of the cut (the UNet's skip connections) becomes outputs of the first
and inputs of the second, float32. Operations are moved as they are stored, and weights copied one at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from coremltools.proto import MIL_pb2 as mil

from edgepack.coreml import proto
from edgepack.coreml.chain import PART
from edgepack.coreml.folder import model_file, weight_file
from edgepack.formats.coreml._mil import Node
from edgepack.formats.coreml._package import copy_manifest
from edgepack.formats.coreml.builder.store import Store, read

_CAST = "_float32"  # ending of a value's name where it crosses the cut
_FLOAT32 = 65568  # the description's number of the dtype
_HALF, _SINGLE = "fp16", "fp32"


@dataclass(frozen=True)
class _Program:
    """The only block of a package's only function, and what it is described by."""

    package: Path

    @cached_property
    def spec(self) -> Node:
        return proto.model(model_file(self.package))

    @cached_property
    def function(self) -> Node:
        (function,) = self.spec.mlProgram.functions.values()
        return function

    @cached_property
    def block(self) -> Node:
        return self.function.block_specializations[self.function.opset]

    @cached_property
    def constants(self) -> dict[str, Node]:
        """The constants by the names of what they make, those that are restored from others included."""
        return {out.name: op for op in self.block.operations if _constant(op) for out in op.outputs}

    @cached_property
    def computed(self) -> list[Node]:
        """The other operations in their order."""
        return [op for op in self.block.operations if not _constant(op)]

    def needed(self, ops: Sequence[Node]) -> list[str]:
        """Return the constants that ``ops`` read, in the program's order."""
        asked = [name for op in ops for name in _names(op) if name in self.constants]
        found: set[str] = set()
        while asked:
            name = asked.pop()
            if name not in found:
                found.add(name)
                asked += [inner for inner in _names(self.constants[name]) if inner in self.constants]
        return [name for name in self.constants if name in found]

    def bytes(self, constant: str) -> int:
        """Return the bytes of a constant in the weight file."""
        return sum(read(self._weights(value), value.offset)[0].bytes for value in _stored(self.constants[constant]))

    def _weights(self, value: Node) -> Path:
        return weight_file(self.package, model_file(self.package), value.fileName)

    def cut(self) -> int:
        """Return how many of the computed operations go into the first part."""
        readers = Counter(name for op in self.computed for name in set(_names(op)))
        seen: set[str] = set()
        half = sum(map(self.bytes, self.needed(self.computed))) / 2
        sum_so_far = 0
        for place, op in enumerate(self.computed, 1):
            fresh = set(self.needed([op])) - seen
            seen |= fresh
            sum_so_far += sum(map(self.bytes, fresh))
            if sum_so_far > half and len(op.outputs) == 1 and readers[op.outputs[0].name] == 1:
                return place
        raise ValueError(f"{self.package} has no operation to be cut after")


def split(package: Path, outs: tuple[Path, Path]) -> None:
    """Write the two parts of ``package`` to ``outs``, folders that are made."""
    program = _Program(package)
    place = program.cut()
    first, second = program.computed[:place], program.computed[place:]
    crossing = _crossing(first, second)
    for number, (out, ops) in enumerate(zip(outs, (first, second), strict=True), 1):
        made = _part(program, ops, crossing, last=number == 2)
        made.description.metadata.userDefined[PART] = f"{number}-of-2"
        out.mkdir(parents=True)
        copy_manifest(package, out)
        file = out / model_file(package).relative_to(package)
        (file.parent / "weights").mkdir(parents=True)
        _move_weights(program, made, file.parent / "weights" / "weight.bin")
        file.write_bytes(made.SerializeToString(deterministic=True))


def _crossing(first: Sequence[Node], second: Sequence[Node]) -> list[Node]:
    """Return the values (with their types) that the second part reads and the first makes."""
    read_later = {name for op in second for name in _names(op)}
    return [out for op in first for out in op.outputs if out.name in read_later]


def _part(program: _Program, ops: Sequence[Node], crossing: Sequence[Node], *, last: bool) -> Node:
    """Return the specification of the package with ``ops`` alone."""
    made = type(program.spec)()
    made.CopyFrom(program.spec)
    (function,) = made.mlProgram.functions.values()
    block = function.block_specializations[function.opset]
    taken = [program.constants[name] for name in program.needed(ops)]
    casts = [op for value in crossing for op in _casts(value, back=last)]
    del block.operations[:]
    block.operations.extend([*taken, *casts, *ops] if last else [*taken, *ops, *casts])
    read_here = {name for op in ops for name in _names(op)}
    _keep(function.inputs, read_here)
    _keep(made.description.input, read_here)
    for value in crossing:
        if last:
            function.inputs.append(_single(value))
        feature = (made.description.input if last else made.description.output).add()
        feature.name = _crossed(value)
        feature.type.multiArrayType.dataType = _FLOAT32
        feature.type.multiArrayType.shape.extend(side.constant.size for side in value.type.tensorType.dimensions)
    if not last:
        block.outputs[:] = [_crossed(value) for value in crossing]
        _keep(made.description.output, {_crossed(value) for value in crossing})
    return made


def _casts(value: Node, *, back: bool) -> Iterator[Node]:
    """Yield what takes a float16 ``value`` to float32 or ``back``; nothing for one that is float32."""
    if value.type.tensorType.dataType != mil.FLOAT16:
        return
    name, wanted = f"{value.name}_crossing_dtype", _HALF if back else _SINGLE
    kind = mil.ValueType()
    kind.tensorType.dataType = mil.STRING
    const = mil.Operation(type="const", outputs=[mil.NamedValueType(name=name, type=kind)])
    const.attributes["name"].CopyFrom(_text(name))
    const.attributes["val"].CopyFrom(_text(wanted))
    made = value if back else _single(value)
    cast = mil.Operation(type="cast", outputs=[made])
    cast.attributes["name"].CopyFrom(_text(f"{value.name}_crossing"))
    cast.inputs["x"].arguments.add().name = _crossed(value) if back else value.name
    cast.inputs["dtype"].arguments.add().name = name
    yield from (const, cast)


def _text(text: str) -> Node:
    made = mil.Value()
    made.type.tensorType.dataType = mil.STRING
    made.immediateValue.tensor.strings.values.append(text)
    return made


def _crossed(value: Node) -> str:
    half = value.type.tensorType.dataType == mil.FLOAT16
    return f"{value.name}{_CAST}" if half else str(value.name)


def _single(value: Node) -> Node:
    made = mil.NamedValueType()
    made.CopyFrom(value)
    made.name, made.type.tensorType.dataType = _crossed(value), mil.FLOAT32
    return made


def _keep(features: Node, names: set[str]) -> None:
    kept = [feature for feature in features if feature.name in names]
    del features[:]
    features.extend(kept)


def _move_weights(program: _Program, made: Node, out: Path) -> None:
    """Copy the weights of ``made`` to ``out``, each once."""
    (function,) = made.mlProgram.functions.values()
    places: dict[tuple[str, int], int] = {}
    with Store(out) as store:
        for op in function.block_specializations[function.opset].operations:
            for value in _stored(op):
                key = value.fileName, value.offset
                if key not in places:
                    entry, data = read(program._weights(value), value.offset)
                    places[key] = store.put(entry, [data])
                value.fileName, value.offset = f"@model_path/weights/{out.name}", places[key]


def _constant(op: Node) -> bool:
    return bool(op.type.startswith("const"))


def _names(op: Node) -> Iterator[str]:
    """Yield the names that ``op`` reads, those inside of its blocks included."""
    for argument in op.inputs.values():
        yield from (one.name for one in argument.arguments if one.WhichOneof("binding") == "name")
    for block in op.blocks:
        for inner in block.operations:
            yield from _names(inner)
        yield from block.outputs


def _stored(op: Node) -> Iterator[Node]:
    """Yield the values of ``op`` that lie in the weight file."""
    given = [one.value for argument in op.inputs.values() for one in argument.arguments]
    for value in (*op.attributes.values(), *given):
        if value.WhichOneof("value") == "blobFileValue":
            yield value.blobFileValue
