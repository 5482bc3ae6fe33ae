"""Positions in images that a tracer cannot follow.

They depend on the size of the images alone, of which a bundle has one: a trace takes them as they are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from edgepack.arrays import Answers

# The class of transformers, and its method that makes them: by a resize that is antialiased, for which ONNX has no
# operator in the opsets that targets ask for, or cubic to another shape, which ONNX Runtime refuses; and by branches on
# shapes.
_METHODS = {
    "Dinov2Embeddings": "interpolate_pos_encoding",
    "Dinov2WithRegistersEmbeddings": "interpolate_pos_encoding",
    "DINOv3ViTRopePositionEmbedding": "forward",
}


@contextmanager
def fixed(module: nn.Module) -> Iterator[None]:
    """Let positions in ``module`` be constants of a trace that is made meanwhile."""
    found = [(part, name) for part in module.modules() if (name := _METHODS.get(type(part).__name__))]
    try:
        for part, name in found:
            setattr(part, name, _untraced(getattr(part, name)))
        yield
    finally:
        for part, name in found:
            delattr(part, name)


def _untraced(method: Callable[..., Answers]) -> Callable[..., Answers]:
    def computed(*arguments: Answers, **options: Answers) -> Answers:
        state = torch._C._get_tracing_state()
        torch._C._set_tracing_state(None)  # type: ignore[attr-defined]  # which torch's stubs lack
        try:
            with torch.no_grad():  # a trace takes no constant that has a gradient
                return method(*arguments, **options)
        finally:
            torch._C._set_tracing_state(state)  # type: ignore[attr-defined]

    return computed
