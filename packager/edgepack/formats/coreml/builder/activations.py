"""The activations of language models as operations, of float16 to float16."""

from __future__ import annotations

import numpy as np
from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  (as everybody calls it)

from edgepack.formats.coreml._mil import Var

_GELUS = {"gelu": "EXACT", "gelu_tanh": "TANH_APPROXIMATION"}


def activated(x: Var, kind: str, **numbers: float) -> Var:
    """Return the activation ``kind`` of ``x``; ``numbers`` are those of xIELU."""
    if kind in _GELUS:
        return mb.gelu(x=x, mode=_GELUS[kind])
    if kind == "relu2":
        return mb.square(x=mb.relu(x=x))
    if kind == "xielu":
        return _xielu(x, **numbers)
    return mb.silu(x=x) if kind == "silu" else mb.relu(x=x)


def cut_off(x: Var, cutoff: float) -> Var:
    """Return max(x - mean - ``cutoff`` standard deviations, 0) over the last dimension, computed in float32."""
    x = mb.cast(x=x, dtype="fp32")
    around = mb.sub(x=x, y=mb.reduce_mean(x=x, axes=[-1], keep_dims=True))
    deviation = mb.sqrt(x=mb.reduce_mean(x=mb.square(x=around), axes=[-1], keep_dims=True))
    above = mb.relu(x=mb.sub(x=around, y=mb.mul(x=deviation, y=np.float32(cutoff))))
    return mb.cast(x=above, dtype="fp16")


def _xielu(x: Var, *, alpha_p: float, alpha_n: float, beta: float, eps: float) -> Var:
    """Return xIELU (Huang & Schlag 2024), in float32: float16 has no room for large squares."""
    above, below = np.float32(np.logaddexp(0, alpha_p)), np.float32(beta + np.logaddexp(0, alpha_n))
    x = mb.cast(x=x, dtype="fp32")
    positive = mb.mul(x=mb.square(x=x), y=above)
    rest = mb.sub(x=mb.sub(x=mb.exp(x=mb.minimum(x=x, y=np.float32(eps))), y=np.float32(1)), y=x)
    curve = mb.select(cond=mb.greater(x=x, y=np.float32(0)), a=positive, b=mb.mul(x=rest, y=below))
    return mb.cast(x=mb.add(x=curve, y=mb.mul(x=x, y=np.float32(beta))), dtype="fp16")
