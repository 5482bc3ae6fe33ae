"""Arithmetic, comparison, logic and rounding, element by element, with numpy's broadcasting."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from edgepack.coreml.ops.registry import op

_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "acos": torch.acos, "asin": torch.asin, "atan": torch.atan, "atanh": torch.atanh,
    "cos": torch.cos, "cosh": torch.cosh, "erf": torch.erf, "exp": torch.exp, "exp2": torch.exp2,
    "sin": torch.sin, "sinh": torch.sinh, "sqrt": torch.sqrt, "square": torch.square, "tan": torch.tan,
    "tanh": torch.tanh,
}  # fmt: skip
_EXACT: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs, "ceil": torch.ceil, "floor": torch.floor, "logical_not": torch.logical_not,
    "round": torch.round, "sign": torch.sign,
}  # fmt: skip
_BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add, "equal": torch.eq, "floor_div": torch.floor_divide, "greater": torch.gt,
    "greater_equal": torch.ge, "less": torch.lt, "less_equal": torch.le, "logical_and": torch.logical_and,
    "logical_or": torch.logical_or, "logical_xor": torch.logical_xor, "maximum": torch.maximum,
    "minimum": torch.minimum, "mod": torch.remainder, "mul": torch.mul, "not_equal": torch.ne, "pow": torch.pow,
    "real_div": torch.true_divide, "sub": torch.sub,
}  # fmt: skip


def _unary(kind: str, function: Callable[[Tensor], Tensor], exact: bool) -> None:
    def apply(x: Tensor) -> Tensor:
        return function(x)

    op(kind, exact=exact)(apply)


def _binary(kind: str, function: Callable[[Tensor, Tensor], Tensor]) -> None:
    def apply(x: Tensor, y: Tensor) -> Tensor:
        return function(x, y)

    op(kind, exact=kind in ("maximum", "minimum"))(apply)


for _kind, _function in _UNARY.items():
    _unary(_kind, _function, exact=False)
for _kind, _function in _EXACT.items():
    _unary(_kind, _function, exact=True)
for _kind, _two in _BINARY.items():
    _binary(_kind, _two)


@op("clip")
def clip(x: Tensor, alpha: float, beta: float) -> Tensor:
    """Return ``x`` within [alpha, beta]."""
    return x.clamp(alpha, beta)


@op("inverse")
def inverse(x: Tensor, epsilon: float = 1e-4) -> Tensor:
    """Return 1 / (x + epsilon)."""
    return torch.reciprocal(x + epsilon)


@op("log")
def log(x: Tensor, epsilon: float = 1e-45) -> Tensor:
    """Return the natural logarithm of x + epsilon."""
    return torch.log(x + epsilon)


@op("rsqrt")
def rsqrt(x: Tensor, epsilon: float = 1e-12) -> Tensor:
    """Return 1 / sqrt(x + epsilon)."""
    return torch.rsqrt(x + epsilon)


@op("threshold")
def threshold(x: Tensor, alpha: float) -> Tensor:
    """Return max(x, alpha)."""
    return x.clamp(min=alpha)


@op("identity", exact=True)
def identity(x: Tensor) -> Tensor:
    """Return ``x`` itself."""
    return x


@op("select", exact=True)
def select(cond: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return ``a`` where ``cond``, else ``b``."""
    return torch.where(cond.bool(), a, b)


_DTYPES = {
    "bool": torch.bool, "fp16": torch.float32, "fp32": torch.float32, "int8": torch.int8, "int16": torch.int16,
    "int32": torch.int32, "int64": torch.int64, "uint8": torch.uint8, "uint16": torch.int32, "uint32": torch.int64,
}  # fmt: skip


@op("cast")
def cast(x: Tensor, dtype: str) -> Tensor:
    """Return ``x`` as another dtype; floats lose their fraction on the way to integers."""
    return x.to(_DTYPES[dtype])
