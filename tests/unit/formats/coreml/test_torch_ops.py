"""Operators that coremltools lacks, or computes otherwise than PyTorch, against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import coremltools as ct
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

import edgepack.formats.coreml.export.torch_ops  # noqa: F401  (registers them)
from edgepack.coreml import Package

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

TRACED = np.random.default_rng(0).uniform(-2, 2, (1, 3, 4, 6)).astype(np.float32)
FED = np.random.default_rng(1).uniform(-2, 2, (1, 3, 4, 6)).astype(np.float32)
CLOSE = 1e-5  # float32 sums in another order


def table(x: Tensor) -> Tensor:
    """Single places, a row and a column written into a table, as BEiT makes its relative positions."""
    made = torch.zeros(4, 6)
    made[1:, 1:] = 5
    made[0, 0:] = 2
    made[-1, 3] = 7
    made[2, 2] = 9
    return x + made


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "ones as the tensor": lambda x: x + x.new_ones(6),
    "ones of integers": lambda x: x + x.new_ones((4, 6), dtype=torch.int64).cumsum(0) // 2,
    "a true scalar": lambda x: torch.where((x > 0) & x.new_ones([], dtype=torch.bool), x, -x),
    "ones of the tensor's size": lambda x: x * x.new_ones(x.shape),
    "zeros that are false": lambda x: torch.where((x > 0) | x.new_zeros(6, dtype=torch.bool), x, -x),
    "zeros of integers": lambda x: x + x.new_zeros(6, dtype=torch.int64) // 2,
    "integers filled": lambda x: x + x.new_full((6,), 3, dtype=torch.int64) // 2,
    "floats filled": lambda x: x + x.new_full((6,), 2.5),
    "a true value filled": lambda x: torch.where((x > 0) | x.new_full((6,), 1, dtype=torch.bool), x, -x),
    "or": lambda x: torch.where((x > 1) | (x < -1), x, 2 * x),
    "multiply": lambda x: torch.multiply(x, x),
    "places of a table": table,
    "bicubic, larger": lambda x: interpolate(x, size=(7, 9), mode="bicubic"),
    "bicubic, smaller": lambda x: interpolate(x, size=(3, 4), mode="bicubic"),
    "bicubic, the same size": lambda x: interpolate(x, size=(4, 6), mode="bicubic"),
    "bicubic, corners": lambda x: interpolate(x, size=(7, 9), mode="bicubic", align_corners=True),
    "bicubic by factors": lambda x: interpolate(x, scale_factor=(1.6, 2.1), mode="bicubic"),
    "bicubic, antialiased": lambda x: interpolate(x, size=(2, 3), mode="bicubic", antialias=True),
    "bilinear, antialiased": lambda x: interpolate(x, size=(2, 3), mode="bilinear", antialias=True),
}


class Module(torch.nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x) * 1.0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_is_what_pytorch_computes(name: str, tmp_path: Path) -> None:
    module = Module(FUNCTIONS[name]).eval()
    model = ct.convert(
        torch.jit.trace(module, torch.from_numpy(TRACED)),
        inputs=[ct.TensorType("x", TRACED.shape, np.float32)],
        outputs=[ct.TensorType(name="y", dtype=np.float32)],
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )
    model.save(str(tmp_path / "op.mlpackage"))
    found = Package(tmp_path / "op.mlpackage", threads=1, native=False)({"x": FED})["y"]
    np.testing.assert_allclose(found, module(torch.from_numpy(FED)).numpy(), rtol=CLOSE, atol=CLOSE)


def test_or_of_integers_is_refused() -> None:
    with pytest.raises(Exception, match="booleans only"):
        ct.convert(
            torch.jit.trace(Module(lambda x: x.int() | 3), torch.from_numpy(TRACED)),
            inputs=[ct.TensorType("x", TRACED.shape, np.float32)],
            skip_model_load=True,
        )
