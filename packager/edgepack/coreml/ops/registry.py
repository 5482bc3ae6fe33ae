"""The ops that the evaluator knows. A function's parameters are the op's inputs; their types say what is handed over.

``Tensor`` is a torch tensor (float32 for every float, with an integer dtype for integers); ``int``, ``float``,
``bool``, ``str``, ``Ints`` and ``Flags`` are Python's; ``Tensors`` is a list of tensors; ``Cell`` a state; ``Blocks``
the op's blocks as functions. A default makes an input optional.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from edgepack.coreml.values import Value
from edgepack.errors import UnsupportedOperator, nearest

Ints = tuple[int, ...]
Flags = tuple[bool, ...]
Tensors = list[Tensor]
Blocks = list[Callable[[Tensors], Tensors]]
Results = Tensor | tuple[Value, ...] | list[Tensor]
Function = Callable[..., Results]


@dataclass
class Cell:
    """A state: what it holds, and whether that changed."""

    tensor: Tensor
    written: bool = False


@dataclass(frozen=True)
class Op:
    """``exact``: the results are values of the inputs, so that rounding them again changes nothing.

    ``fresh``: the results have memory of their own, which no input shares.
    """

    kind: str
    function: Function
    exact: bool
    fresh: bool

    @cached_property
    def parameters(self) -> Mapping[str, Value]:
        """Type by name, as annotated; of an optional one the type without None."""
        hints = typing.get_type_hints(self.function)
        return {name: _plain(hints[name]) for name in inspect.signature(self.function).parameters}

    @cached_property
    def required(self) -> frozenset[str]:
        """The parameters without a default."""
        parameters = inspect.signature(self.function).parameters.values()
        return frozenset(one.name for one in parameters if one.default is inspect.Parameter.empty)


_KNOWN: dict[str, Op] = {}


def op(kind: str, *, exact: bool = False, fresh: bool = False) -> Callable[[Function], Function]:
    """Registers the function below as the op ``kind``."""

    def register(function: Function) -> Function:
        _KNOWN[kind] = Op(kind, function, exact, fresh)
        return function

    return register


def find(kind: str) -> Op:
    """Raises UnsupportedOperator."""
    if kind not in _KNOWN:
        close = nearest(kind, _KNOWN)
        raise UnsupportedOperator(
            f"the evaluator does not know the op {kind!r}", hint=f"it knows {close!r}" if close else ""
        )
    return _KNOWN[kind]


def known() -> tuple[str, ...]:
    """Return the names of the ops, sorted."""
    return tuple(sorted(_KNOWN))


def _plain(hint: Value) -> Value:
    parts = [part for part in typing.get_args(hint) if part is not type(None)]
    return parts[0] if type(None) in typing.get_args(hint) else hint


CONVERT: Mapping[Value, Callable[[Value], Value]] = {
    int: int,
    float: float,
    bool: bool,
    str: str,
    Ints: lambda value: tuple(map(int, value.reshape(-1).tolist())),
    Flags: lambda value: tuple(map(bool, value.reshape(-1).tolist())),
}
