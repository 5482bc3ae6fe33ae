"""An ML Program as records, free of protobuf: functions, blocks, operations and the values they hold.

Specification: coremltools/mlmodel/format/MIL.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from edgepack.arrays import Array
from edgepack.coreml.dtypes import MIL, Dtype
from edgepack.coreml.values import Message, Value
from edgepack.errors import PackageDamaged

_MOST_VALUES = 1 << 40  # a shape of more is nonsense
_AGAIN = "copy or convert the package again"


@dataclass(frozen=True)
class Variable:
    """A name with its type; a side of unknown size is None. ``dtype`` is None for lists and dictionaries."""

    name: str
    dtype: Dtype | None
    shape: tuple[int | None, ...] = ()
    state: bool = False


@dataclass(frozen=True)
class Literal:
    """A value that is stored in the program (``value``), or in a weight file (``file`` and ``offset``)."""

    dtype: Dtype
    shape: tuple[int, ...]
    value: Value = None
    file: str = ""
    offset: int = 0

    @property
    def bytes(self) -> int:
        """Size as stored."""
        return self.dtype.size(prod(self.shape))

    @property
    def key(self) -> object:
        """Equal for equal values."""
        if self.file:
            return self.file, self.offset, self.dtype.name, self.shape
        value = self.value
        return (self.dtype.name, self.shape, value.tobytes() if self.dtype.name != "string" else str(value))


Argument = str | Literal


@dataclass(frozen=True)
class Operation:
    """One op. ``several`` are the parameters that are given as a list."""

    kind: str
    name: str
    inputs: Mapping[str, tuple[Argument, ...]]
    outputs: tuple[Variable, ...]
    blocks: tuple[Block, ...] = ()

    @property
    def constant(self) -> bool:
        """Known before any input is: a const or a compressed weight."""
        return self.kind == "const" or self.kind.startswith("constexpr_")

    @property
    def names(self) -> Iterator[str]:
        """Names of the variables that it reads, those that its blocks read included."""
        for arguments in self.inputs.values():
            yield from (argument for argument in arguments if isinstance(argument, str))
        for block in self.blocks:
            yield from block.outputs
            for operation in block.operations:
                yield from operation.names


@dataclass(frozen=True)
class Block:
    """Operations in the order in which they run."""

    inputs: tuple[Variable, ...]
    outputs: tuple[str, ...]
    operations: tuple[Operation, ...]

    def walk(self) -> Iterator[Operation]:
        """Yield its operations and those of the blocks inside."""
        for operation in self.operations:
            yield operation
            for block in operation.blocks:
                yield from block.walk()


@dataclass(frozen=True)
class Function:
    """One entry of the program. ``opset`` is "CoreML5" (iOS 15) and so on."""

    name: str
    opset: str
    inputs: tuple[Variable, ...]
    block: Block


def read_program(program: Message) -> dict[str, Function]:
    """Return the functions of a MIL ``Program`` message, by name. Raises PackageDamaged."""
    return {name: _function(name, message) for name, message in program.functions.items()}


def _function(name: str, message: Message) -> Function:
    if message.opset not in message.block_specializations:
        raise PackageDamaged(f"the function {name!r} has no block for its opset {message.opset!r}", hint=_AGAIN)
    inputs = tuple(map(_variable, message.inputs))
    return Function(name, message.opset, inputs, _block(message.block_specializations[message.opset]))


def _block(message: Message) -> Block:
    operations = tuple(map(_operation, message.operations))
    return Block(tuple(map(_variable, message.inputs)), tuple(message.outputs), operations)


def _operation(message: Message) -> Operation:
    inputs: dict[str, tuple[Argument, ...]] = {
        key: tuple(b.name if b.WhichOneof("binding") == "name" else _literal(b.value) for b in argument.arguments)
        for key, argument in message.inputs.items()
        if argument.arguments
    }
    attributes = {key: _literal(value) for key, value in message.attributes.items()}
    name = attributes.pop("name", None)
    inputs |= {key: (literal,) for key, literal in attributes.items()}
    outputs = tuple(map(_variable, message.outputs))
    called = str(name.value) if name is not None else outputs[0].name if outputs else ""
    return Operation(message.type, called, inputs, outputs, tuple(map(_block, message.blocks)))


def _variable(message: Message) -> Variable:
    kind = message.type.WhichOneof("type")
    wrapped = message.type.stateType.wrappedType if kind == "stateType" else message.type
    if wrapped.WhichOneof("type") != "tensorType":
        return Variable(message.name, None)
    shape = tuple(
        int(side.constant.size) if side.WhichOneof("dimension") == "constant" else None
        for side in wrapped.tensorType.dimensions
    )
    return Variable(message.name, _dtype(wrapped.tensorType), shape, kind == "stateType")


def _dtype(tensor: Message) -> Dtype:
    if tensor.dataType not in MIL:
        raise PackageDamaged(f"the program has the unknown dtype {tensor.dataType}", hint=_AGAIN)
    return MIL[tensor.dataType]


def _literal(message: Message) -> Literal:
    kind = message.type.WhichOneof("type")
    if kind == "listType":
        items = [_literal(item) for item in message.immediateValue.list.values]
        dtype = items[0].dtype if items else MIL[2]
        return Literal(dtype, (len(items),), np.array([item.value[()] for item in items], dtype.held))
    if kind != "tensorType":
        raise PackageDamaged(f"the program holds a value of the unknown kind {kind}", hint=_AGAIN)
    tensor = message.type.tensorType
    dtype, shape = _dtype(tensor), tuple(int(side.constant.size) for side in tensor.dimensions)
    if prod(shape) > _MOST_VALUES:
        raise PackageDamaged(f"the program holds a value of shape {shape}", hint=_AGAIN)
    if message.WhichOneof("value") == "blobFileValue" and message.blobFileValue.fileName:
        return Literal(dtype, shape, file=message.blobFileValue.fileName, offset=message.blobFileValue.offset)
    return Literal(dtype, shape, _immediate(message.immediateValue.tensor, dtype, shape))


def _immediate(tensor: Message, dtype: Dtype, shape: tuple[int, ...]) -> Array:
    field = tensor.WhichOneof("value")
    values: Message = getattr(tensor, field).values if field else ()
    try:
        if field == "bytes" and dtype.bits:
            return dtype.decode(values, prod(shape)).reshape(shape)
        array = np.empty(len(values), object) if dtype.name == "string" else np.empty(len(values), dtype.held)
        array[:] = values
        return array.reshape(shape)
    except ValueError as error:
        raise PackageDamaged(
            f"a {dtype.name} value of the program does not have the shape {shape}", hint=_AGAIN
        ) from error
