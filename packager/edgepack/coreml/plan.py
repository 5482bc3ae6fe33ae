"""A function made ready to run: each op is bound to its inputs once, then all run in order on torch tensors.

Floats are float32 everywhere; a result that the program declares as float16 is rounded to it ("declared" precision), as
a device that accumulates in float32 would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from edgepack import memory
from edgepack.arrays import Array
from edgepack.coreml import ops  # noqa: F401  (registers them)
from edgepack.coreml.aliases import in_place
from edgepack.coreml.constants import Constants
from edgepack.coreml.ops.registry import CONVERT, Blocks, Op, find
from edgepack.coreml.program import Block, Function, Literal, Operation, Variable
from edgepack.coreml.values import Value
from edgepack.errors import EdgepackError, EvaluationFailed, PackageDamaged, UnsupportedOperator

Values = dict[str, Value]
Finish = Callable[[Value], Value]
Tensors = dict[object, Value]  # a constant's key -> its tensor, for all functions of a package
_LARGE = 1 << 18  # numbers of a weight that is worth reading again
_PIECE = 1 << 22  # numbers that are rounded at a time
_AGAIN = "copy or convert the package again"
_INTEGERS = {
    "bool": torch.bool, "int8": torch.int8, "int16": torch.int16, "int32": torch.int32, "int64": torch.int64,
    "uint8": torch.uint8, "uint16": torch.int32, "uint32": torch.int64,
}  # fmt: skip
_HELD = {"float16": np.float32, "float64": np.float32, "uint16": np.int32, "uint32": np.int64, "uint64": np.int64}


class Plan:
    """``plan(values)``: the outputs' values for the inputs' values, by name."""

    def __init__(
        self, function: Function, constants: Constants, known: Tensors, *, declared: bool, streamed: bool
    ) -> None:
        self._constants, self._known, self._declared = constants, known, declared
        self._reader = _Reader(constants) if streamed else None
        self._base: Values = {}
        self._in_place: frozenset[str] = frozenset()
        self._block = self._bound(function.block, frozenset(one.name for one in function.inputs))
        self.outputs = function.block.outputs

    def __call__(self, values: Mapping[str, Value], weights: Mapping[str, Tensor]) -> Values:
        """Run the plan; ``weights`` take the place of constants. Raises EvaluationFailed."""
        environment = {**self._base, **weights, **values}
        results = self._block(environment)
        return dict(zip(self.outputs, results, strict=True))

    def _bound(self, block: Block, given: frozenset[str]) -> Callable[[Values], list[Value]]:
        """Return ``block`` as a function of the values so far; values that nothing reads again are let go."""
        operations = [operation for operation in block.operations if not operation.constant]
        made = given | {out.name for operation in operations for out in operation.outputs}
        dead = _dead(operations, block.outputs)
        self._in_place |= in_place(operations, block.outputs)
        steps = [self._step(one, made, gone) for one, gone in zip(operations, dead, strict=True)]
        self._keep(name for name in block.outputs if name not in made)
        outputs = block.outputs

        def run(environment: Values) -> list[Value]:
            for step in steps:
                step(environment)
            return [environment[name] for name in outputs]

        return run

    def _step(self, operation: Operation, made: frozenset[str], gone: tuple[str, ...]) -> Callable[[Values], None]:
        kind = find(operation.kind)
        arguments = _arguments(operation, kind)
        fixed: Values = {}
        feeds: list[tuple[str, Value, Finish | None]] = []
        for role, given in arguments.items():
            wanted = kind.parameters[role]
            convert = CONVERT.get(wanted)
            several = role in _SEVERAL.get(operation.kind, ())
            if convert is not None and all(isinstance(one, Literal) or one in self._constants for one in given):
                fixed[role] = self._converted(operation, role, convert, self._constant(given[0]))
            else:
                names = [self._named(one, made) for one in given]
                feeds.append((role, names if several else names[0], convert))
        if any(out.name in self._in_place for out in operation.outputs):
            fixed["in_place"] = True
        blocks = [(one.inputs, self._bound(one, made | {v.name for v in one.inputs})) for one in operation.blocks]
        finishes = [self._finish(out, kind) for out in operation.outputs]
        return _Step(operation, partial(kind.function, **fixed), feeds, blocks, finishes, gone)

    def _named(self, argument: str | Literal, made: frozenset[str]) -> str:
        """Return the name under which the value will be found."""
        if isinstance(argument, str):
            if argument not in made:
                self._keep([argument])
            return argument
        name = f"literal {len(self._base)}"
        self._base[name] = _tensor(self._constants.argument(argument))
        return name

    def _keep(self, names: Iterable[str]) -> None:
        """Keep constants, which are there before the first op runs.

        Raises PackageDamaged for a name that nothing makes.
        """
        for name in names:
            if name not in self._base:
                if self._reader is not None and self._constants.parameters(name) >= _LARGE:
                    self._base[name] = _Late(self._reader, name)
                else:
                    self._base[name] = self._constant(name)

    def _constant(self, argument: str | Literal) -> Value:
        key = self._constants.key(argument) if isinstance(argument, str) else argument.key
        if key not in self._known:
            self._known[key] = _tensor(self._constants.argument(argument))
        return self._known[key]

    def _finish(self, out: Variable, kind: Op) -> Finish | None:
        name = out.dtype.name if out.dtype is not None else ""
        if name == "float16":
            return (_half_in_place if kind.fresh else _half) if self._declared and not kind.exact else None
        return partial(_as, _INTEGERS[name]) if name in _INTEGERS else None

    def _converted(self, operation: Operation, role: str, convert: Finish, value: Value) -> Value:
        try:
            return convert(value)
        except (ValueError, TypeError, RuntimeError, AttributeError) as error:
            raise PackageDamaged(
                f"the input {role!r} of the op {operation.name!r} ({operation.kind}) has the wrong kind of value",
                hint=_AGAIN,
            ) from error


class _Reader:
    """Reads and decompresses weights; now and then what the allocator has kept of those before is given back."""

    def __init__(self, constants: Constants) -> None:
        self._constants, self._passing = constants, memory.Passing(memory.release)

    def __call__(self, name: str) -> Tensor:
        tensor: Tensor = _tensor(self._constants.value(name))
        self._passing(tensor.nbytes)
        return tensor


class _Late:
    """A large weight that is read and decompressed whenever an op asks for it, and let go after."""

    def __init__(self, read: _Reader, name: str) -> None:
        self._read, self._name = read, name

    def __call__(self) -> Tensor:
        return self._read(self._name)


class _Step:
    """One op: takes its inputs from the values so far and puts its results there."""

    def __init__(
        self,
        operation: Operation,
        function: Callable[..., Value],
        feeds: list[tuple[str, Value, Finish | None]],
        blocks: list[tuple[tuple[Variable, ...], Callable[[Values], list[Value]]]],
        finishes: list[Finish | None],
        gone: tuple[str, ...],
    ) -> None:
        self._operation, self._function, self._feeds, self._blocks = operation, function, feeds, blocks
        self._results = [(out.name, finish) for out, finish in zip(operation.outputs, finishes, strict=True)]
        self._gone = gone

    def __call__(self, environment: Values) -> None:
        try:
            given = {role: _picked(environment, name, convert) for role, name, convert in self._feeds}
            if self._blocks:
                given["blocks"] = self._opened(environment)
            made = self._function(**given)
            self._put(environment, made if isinstance(made, tuple | list) else (made,))
        except EdgepackError:
            raise
        except Exception as error:  # torch raises RuntimeError, IndexError, ValueError … for what does not fit
            raise self._failed(error) from error
        for name in self._gone:
            environment.pop(name, None)

    def _put(self, environment: Values, made: tuple[Value, ...] | list[Value]) -> None:
        if len(made) != len(self._results):
            raise self._failed(f"it gives {len(made)} results, the program names {len(self._results)}")
        for (name, finish), value in zip(self._results, made, strict=True):
            environment[name] = value if finish is None else finish(value)

    def _opened(self, environment: Values) -> Blocks:
        def opened(
            inputs: tuple[Variable, ...], run: Callable[[Values], list[Value]], given: list[Value]
        ) -> list[Value]:
            return run({**environment, **{one.name: value for one, value in zip(inputs, given, strict=True)}})

        return [partial(opened, inputs, run) for inputs, run in self._blocks]

    def _failed(self, error: object) -> EvaluationFailed:
        line = str(error).strip().partition("\n")[0] or type(error).__name__
        return EvaluationFailed(f"the op {self._operation.name!r} ({self._operation.kind}) cannot be computed: {line}")


# Parameters that are given as lists of variables
_SEVERAL = {
    "concat": ("values",),
    "stack": ("values",),
    "einsum": ("values",),
    "while_loop": ("loop_vars",),
    "make_list": ("elem_shape",),
    "reshape_like": ("ref_tensors", "begins", "ends", "end_masks"),
}


def _arguments(operation: Operation, kind: Op) -> dict[str, tuple[str | Literal, ...]]:
    """Return the op's inputs, checked against what the evaluator knows of it."""
    for role in operation.inputs:
        if role not in kind.parameters:
            raise UnsupportedOperator(f"the evaluator does not know the input {role!r} of the op {operation.kind!r}")
    missing = kind.required - {"blocks"} - operation.inputs.keys()
    if missing:
        raise PackageDamaged(f"the op {operation.name!r} ({operation.kind}) lacks inputs", hint=_AGAIN)
    return dict(operation.inputs)


def _dead(operations: list[Operation], outputs: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return for each op the results that no later one reads."""
    made = {out.name for operation in operations for out in operation.outputs}
    later, gone = set(outputs), []
    for operation in reversed(operations):
        read = {*operation.names, *(out.name for out in operation.outputs)}
        gone.append(tuple(sorted((read - later) & made)))
        later |= read
    return gone[::-1]


def _picked(environment: Values, name: Value, convert: Finish | None) -> Value:
    if isinstance(name, list):
        return [_picked(environment, one, convert) for one in name]
    value = environment[name]
    value = value() if isinstance(value, _Late) else value
    return value if convert is None else convert(value)


def _half(value: Tensor) -> Tensor:
    return value.half().float()


def _half_in_place(value: Tensor) -> Tensor:
    """Round ``value``, a piece at a time where it is large: what would come on top of it is its half."""
    if value.numel() < _PIECE or not value.is_contiguous():
        return _half(value)
    for piece in value.view(-1).split(_PIECE):
        piece.copy_(piece.half())
    return value


def _as(dtype: torch.dtype, value: Value) -> Value:
    return value if not isinstance(value, Tensor) or value.dtype is dtype else value.to(dtype)


def _tensor(array: Array) -> Value:
    """Return the value as the ops take it: floats as float32, a string as str, several as a list."""
    if array.dtype == object:
        return str(array[()]) if array.ndim == 0 else list(array)
    if array.dtype == np.float16:
        return torch.from_numpy(np.array(array)).float()
    held = _HELD.get(array.dtype.name)
    return torch.from_numpy(np.array(array, held))
