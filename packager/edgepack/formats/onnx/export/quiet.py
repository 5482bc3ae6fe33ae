"""PyTorch's exporter and ONNX Runtime's fusions without what they print, which would mix with what --json prints."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import torch


@contextmanager
def quiet() -> Iterator[None]:
    """Silence stdout meanwhile: no graph that cannot be exported, no shape that cannot be inferred.

    The exporter turns its log on, whatever it is told, and writes it past Python.
    """
    tools: Any = torch._C  # which PyTorch does not describe
    turn = tools._jit_set_onnx_log_enabled
    turn(False)
    tools._jit_set_onnx_log_enabled = lambda enabled: None
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        tools._jit_set_onnx_log_enabled = turn
