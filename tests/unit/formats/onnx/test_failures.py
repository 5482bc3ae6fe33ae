"""What cannot be exported is said in one line, which names the reason, and nothing else is printed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from torch import Tensor, nn

from edgepack.errors import ConversionError, UnsupportedModel
from edgepack.formats.onnx import export
from edgepack.formats.onnx.export import fuse, trace, trial
from edgepack.runtime.processing import Image, Processing, Size

PIXELS = np.zeros((1, 3, 8, 8), np.float32)
IMAGE = Image(input="pixel_values", channels=3, size=Size(height=8, width=8), alpha="refuse", steps=())


class Smooth(nn.Module):
    """A resize that no opset has."""

    config: Any = SimpleNamespace(get_text_config=lambda: SimpleNamespace())

    def forward(self, pixel_values: Tensor) -> dict[str, Tensor]:
        resized = nn.functional.interpolate(pixel_values, size=(4, 4), mode="bicubic", antialias=True)
        return {"logits": resized.flatten(1)}


def test_an_operator_that_cannot_be_exported_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConversionError, match="aten::_upsample_bicubic2d_aa"):
        trace.export(
            Smooth(),
            tmp_path / "x.onnx",
            batch=({"pixel_values": PIXELS}, {"logits": PIXELS[:, 0].reshape(1, -1)}),
            outputs=["logits"],
            opset=17,
            own_attention=False,
        )
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("second", "said"), [(2e-5, ""), (2e-3, "a batch of 1 differs"), (np.nan, "differs"), (0, "")])
def test_a_score_that_happens_to_be_near_0_is_compared_with_the_largest(second: float, said: str) -> None:
    feeds = [{"input_ids": np.array([[row, row]])} for row in range(2)]
    wanted = [{"logits": np.array([[score]], np.float32)} for score in (4, 1e-5)]
    made = [wanted[0], {"logits": np.array([[second]], np.float32)}]
    assert said in (found := trial.difference(lambda feed: made[feed["input_ids"][0, 0]], feeds, wanted))
    assert bool(said) is bool(found)


def _refused(path: Path) -> None:
    """A graph with an operator that does not take floats, which onnxruntime refuses."""
    nodes = [helper.make_node("Not", ["x"], ["y"])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    model = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:]), ir_version=9)
    onnx.save(model, path)


def test_a_graph_that_onnxruntime_refuses_is_a_way_that_fails(tmp_path: Path) -> None:
    _refused(tmp_path / "model.onnx")
    with pytest.raises(ConversionError, match=r"does not open the graph: .*Type Error"):
        export._difference(tmp_path / "model.onnx", [], [])


def test_the_next_way_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def trace(original: Any, folder: Path, target: Any, batch: Any, way: Any, **shape: int) -> None:
        tried.append(way)
        _refused(folder / "model.onnx")

    monkeypatch.setenv("EDGEPACK_CACHE", str(tmp_path))
    monkeypatch.setattr(export, "_trace", trace)
    monkeypatch.setattr(export, "_outputs", lambda original, feeds: {})
    source = SimpleNamespace(name="x", sha256="0" * 64)
    original: Any = SimpleNamespace(source=source, task=SimpleNamespace(NAME="image-embedding"))
    config = {"rope_parameters": {"full_attention": {"rope_type": "longrope"}, "sliding": {"rope_type": "default"}}}
    plan: Any = SimpleNamespace(
        target=SimpleNamespace(opset=17, ir_version=9, denied_operators=()),
        config=config,
        processing=Processing(image=IMAGE),
    )
    with pytest.raises(UnsupportedModel, match=r"x cannot be exported .*longrope.*does not open the graph"):
        export.prepare(original, plan, [{"pixel_values": PIXELS}])
    assert tried == list(export._WAYS)


def test_fusions_print_nothing(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def noisy(model: Any, *rest: Any) -> Any:
        print("failed in shape inference")
        return SimpleNamespace(model=model)

    monkeypatch.setattr(fuse, "optimize_by_fusion", noisy)
    fuse._by_patterns(onnx.ModelProto(), "vit", 0, 0)
    assert capfd.readouterr() == ("", "")
