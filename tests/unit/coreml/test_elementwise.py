"""Arithmetic, comparisons and activations against coremltools' own numbers and torch."""

from __future__ import annotations

from typing import Any

import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb
from torch.nn import functional as F

from .conftest import Case, compare, values

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

X, Y, POSITIVE, UNIT = values(2, 3, 4), values(3, 1, seed=1), values(2, 3, low=0.5), values(2, 3, low=-0.9, high=0.9)
INTS, OTHERS = np.array([[7, -7, 5], [-8, 9, 3]], np.int32), np.array([2, 3, -2], np.int32)
HALVES = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.2], np.float32)
ALPHA, BETA = np.array([0.1, 0.5, 2.0], np.float32), np.array([1.0, 2.0, 0.5], np.float32)


def unary(kind: str, x: np.ndarray[Any, Any]) -> Case:
    return Case(kind, lambda v: getattr(mb, kind)(x=v), (x,))


def binary(kind: str, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], tag: str = "") -> Case:
    return Case(kind + tag, lambda v, w: getattr(mb, kind)(x=v, y=w), (x, y))


CASES = [
    *(unary(kind, UNIT) for kind in ("acos", "asin", "atanh")),
    *(unary(kind, HALVES) for kind in ("round", "floor", "ceil", "sign", "abs")),
    *(unary(kind, POSITIVE) for kind in ("sqrt", "log", "rsqrt", "inverse")),
    *(unary(kind, X) for kind in ("atan", "cos", "cosh", "erf", "exp", "exp2", "sin", "sinh", "square", "tan", "tanh")),
    *(unary(kind, X) for kind in ("relu", "relu6", "sigmoid", "softplus", "softsign", "gelu")),
    Case("log_epsilon", lambda v: mb.log(x=v, epsilon=0.1), (POSITIVE,)),
    Case("rsqrt_epsilon", lambda v: mb.rsqrt(x=v, epsilon=0.1), (POSITIVE,)),
    Case("inverse_epsilon", lambda v: mb.inverse(x=v, epsilon=0.5), (POSITIVE,)),
    Case("clip", lambda v: mb.clip(x=v, alpha=-0.5, beta=1.0), (X,)),
    Case("threshold", lambda v: mb.threshold(x=v, alpha=0.3), (X,)),
    Case("logical_not", lambda v: mb.logical_not(x=v), (X > 0,)),
    *(binary(kind, X, Y) for kind in ("add", "sub", "mul", "real_div", "maximum", "minimum", "floor_div", "mod")),
    *(binary(kind, INTS, OTHERS, "_int") for kind in ("add", "sub", "mul", "floor_div", "mod", "maximum", "minimum")),
    *(binary(k, INTS, INTS.copy(), "_int") for k in ("equal", "not_equal", "greater", "greater_equal", "less")),
    *(binary(kind, X, Y) for kind in ("equal", "greater", "greater_equal", "less", "less_equal", "not_equal")),
    *(binary(kind, X > 0, X > 1) for kind in ("logical_and", "logical_or", "logical_xor")),
    binary("pow", POSITIVE, values(2, 3, seed=3)),
    Case("select", lambda c, a, b: mb.select(cond=c, a=a, b=b), (X > 0, X, values(2, 3, 4, seed=2)), torch.where),
    Case("cast_int", lambda v: mb.cast(x=v, dtype="int32"), (X,)),
    Case("cast_bool", lambda v: mb.cast(x=v, dtype="bool"), (HALVES,), lambda x: x != 0),
    Case("cast_float", lambda v: mb.cast(x=v, dtype="fp32"), (INTS,)),
    Case(
        "cast_uint8", lambda v: mb.cast(x=v, dtype="uint8"), (POSITIVE * 90,), lambda x: x.int(), target=ct.target.iOS17
    ),
    Case("identity", lambda v: mb.identity(x=v), (X,)),
    Case("clamped_relu", lambda v: mb.clamped_relu(x=v, alpha=0.5, beta=1.0), (X,)),
    Case("elu", lambda v: mb.elu(x=v, alpha=0.7), (X,), lambda x: F.elu(x, 0.7)),
    Case("gelu_tanh", lambda v: mb.gelu(x=v, mode="TANH_APPROXIMATION"), (X,)),
    Case("gelu_sigmoid", lambda v: mb.gelu(x=v, mode="SIGMOID_APPROXIMATION"), (X,)),
    Case("leaky_relu", lambda v: mb.leaky_relu(x=v, alpha=0.2), (X,), lambda x: F.leaky_relu(x, 0.2)),
    Case("linear_activation", lambda v: mb.linear_activation(x=v, alpha=2.0, beta=0.5), (X,)),
    Case("prelu", lambda v: mb.prelu(x=v, alpha=ALPHA), (values(2, 3, 2, 2),)),
    Case("scaled_tanh", lambda v: mb.scaled_tanh(x=v, alpha=2.0, beta=0.5), (X,)),
    Case("sigmoid_hard", lambda v: mb.sigmoid_hard(x=v, alpha=0.3, beta=0.4), (X,)),
    Case("silu", lambda v: mb.silu(x=v), (X,), F.silu),
    Case("softplus_parametric", lambda v: mb.softplus_parametric(x=v, alpha=ALPHA, beta=BETA), (X,)),
    Case("softmax_1", lambda v: mb.softmax(x=v, axis=1), (X,)),
    Case("softmax", lambda v: mb.softmax(x=v), (X,)),
    Case("thresholded_relu", lambda v: mb.thresholded_relu(x=v, alpha=0.5), (X,), lambda x: x * (x >= 0.5)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_op(case: Case, computed: dict[str, Any]) -> None:
    compare(case, computed[case.name])
