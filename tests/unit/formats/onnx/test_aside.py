"""Weights that a trace leaves out: the graph computes the same with them beside it, transposed where it transposes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from tests.unit.formats.onnx.conftest import IR_VERSION, OPSET
from torch import nn

from edgepack.formats.onnx.export import aside
from edgepack.formats.onnx.export.fuse import fuse
from edgepack.formats.onnx.export.trace import export
from edgepack.runtime.engines import open_session

WIDTH = 96  # a matrix of which lies aside


class Mixed(nn.Module):
    """Self-attention, a convolution, a norm of groups, and a matrix that is read twice."""

    def __init__(self) -> None:
        super().__init__()
        self.config = None
        self.projections = nn.ModuleList(nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(3))
        self.shared = nn.Linear(WIDTH, WIDTH)
        self.convolution = nn.Conv1d(WIDTH, WIDTH, 3, padding=1)
        self.norm = nn.GroupNorm(4, WIDTH)
        self.wide = nn.Linear(WIDTH, aside.LEAST // 4)  # whose bias a fusion reads

    def forward(self, states: torch.Tensor) -> dict[str, torch.Tensor]:
        parts = [layer(states).unflatten(2, (4, -1)).transpose(1, 2) for layer in self.projections]
        mixed = nn.functional.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)
        turned = self.norm(self.convolution(mixed.transpose(1, 2)).unsqueeze(3)).squeeze(3).transpose(1, 2)
        wide = nn.functional.gelu(self.wide(turned))[..., :WIDTH]
        return {"out": self.shared(turned) + turned @ self.shared.weight + wide}


def test_a_graph_computes_the_same_with_its_weights_aside(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Mixed().eval()
    feeds = {"states": np.random.default_rng(0).standard_normal((2, 5, WIDTH)).astype(np.float32)}
    with torch.inference_mode():
        true = {"out": module(torch.from_numpy(feeds["states"]))["out"].numpy()}
    plain, fused = tmp_path / "plain.onnx", tmp_path / "model.onnx"
    axes = {"states": {0: "batch", 1: "tokens"}}
    large = export(
        module,
        plain,
        batch=(feeds, true),
        outputs=["out"],
        opset=OPSET,
        own_attention=True,
        axes=axes,
        weights_aside=True,
    )
    weights = dict(module.named_parameters())
    assert large.keys() == {name for name, weight in weights.items() if aside.is_large(weight.detach().numpy())}
    assert all(np.shares_memory(value, weights[name].detach().numpy()) for name, value in large.items())
    assert plain.stat().st_size < 4 * WIDTH * WIDTH  # bytes of the smallest: it holds none
    fuse(plain, fused, model_type="", heads=0, hidden=0, ir_version=IR_VERSION, tables=large)
    made = open_session(fused, "onnx")
    assert np.abs(made(feeds)["out"] - true["out"]).max() < 1e-5
    kinds = [node.op_type for node in onnx.load(fused, load_external_data=False).graph.node]
    assert "Attention" in kinds  # the three projections in one product
    stored = {tensor.name for tensor in onnx.load(fused, load_external_data=False).graph.initializer}
    assert "shared.weight" in stored  # as it is, since one of its two readers takes it so
