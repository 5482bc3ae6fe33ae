"""The activations of language models as nodes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgepack.formats.onnx._graph import CONTRIB
from edgepack.formats.onnx.builder.builder import Builder

_GELUS = {"gelu": "Gelu", "gelu_tanh": "FastGelu"}


def activated(g: Builder, x: ir.Value, kind: str, name: str, **numbers: float) -> ir.Value:
    """Return the activation ``kind`` of ``x``; ``numbers`` are those of xIELU."""
    if kind == "silu":  # x sigmoid(x)
        return g.op("QuickGelu", x, name=name, domain=CONTRIB, alpha=1.0)
    if kind == "relu":
        return g.op("Relu", x, name=name)
    if kind == "relu2":
        positive = g.op("Relu", x, name=f"{name}.root")
        return g.op("Mul", positive, positive, name=name)
    if kind == "xielu":
        return _xielu(g, x, name, **numbers)
    return g.op(_GELUS[kind], x, name=name, domain=CONTRIB)


def cut_off(g: Builder, x: ir.Value, cutoff: float, width: int) -> ir.Value:
    """Return max(x - mean - ``cutoff`` standard deviations, 0) over the last dimension, which is ``width``."""
    name, last = x.name, g.constant("axis_last", np.array([-1]))

    def mean(value: ir.Value, what: str) -> ir.Value:
        total = g.op("ReduceSum", value, last, name=f"{name}.{what}_total", keepdims=1)
        share = g.constant(f"share_{width}", np.array(1 / width, np.float32))
        return g.op("Mul", total, share, name=f"{name}.{what}")

    around = g.op("Sub", x, mean(x, "mean"), name=f"{name}.around")
    variance = mean(g.op("Mul", around, around, name=f"{name}.squares"), "variance")
    times = g.constant(f"{name}.cutoff", np.array(cutoff, np.float32))
    least = g.op("Mul", g.op("Sqrt", variance, name=f"{name}.deviation"), times, name=f"{name}.least")
    return g.op("Relu", g.op("Sub", around, least, name=f"{name}.above"), name=f"{name}.cut")


def _xielu(g: Builder, x: ir.Value, name: str, *, alpha_p: float, alpha_n: float, beta: float, eps: float) -> ir.Value:
    """Emit a max(x, 0)^2 + (expm1(min(x, eps)) - x) b [x <= 0] + beta x (Huang & Schlag 2024).

    Where x > 0 the term of b is left out by Where.
    """

    def number(what: str, value: float) -> ir.Value:
        return g.constant(f"{name}.{what}", np.array(value, np.float32))

    zero = g.constant("zero", np.array(0, np.float32))
    above = g.op("Mul", g.op("Mul", x, x, name=f"{name}.square"), number("above", np.logaddexp(0, alpha_p)),
                 name=f"{name}.positive")  # fmt: skip
    root = g.op("Exp", g.op("Min", x, number("eps", eps), name=f"{name}.least"), name=f"{name}.exp")
    rest = g.op("Sub", g.op("Sub", root, g.constant("one", np.array(1, np.float32)), name=f"{name}.expm1"), x,
                name=f"{name}.rest")  # fmt: skip
    below = g.op("Mul", rest, number("below", beta + np.logaddexp(0, alpha_n)), name=f"{name}.negative")
    chosen = g.op("Where", g.op("Greater", x, zero, name=f"{name}.sign"), above, below, name=f"{name}.curve")
    return g.op("Add", chosen, g.op("Mul", x, number("beta", beta), name=f"{name}.linear"), name=name)
