"""What calibration tells of a model's weights: its layers' inputs, and what errors of each weight cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import unfold

from edgepack.formats.coreml.export import excerpts, losses, probes, sensitivity

RANDOM = np.random.default_rng(7)


class Convolved(nn.Module):
    """Two convolutions and a linear layer, which count how often they are run."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Conv2d(3, 40, 3, padding=1), nn.Conv2d(40, 8, 3, stride=2)
        self.linear = nn.Linear(8, 160)
        self.runs = 0

    def forward(self, sample: Tensor) -> dict[str, Tensor]:
        self.runs += 1
        maps = self.last(torch.relu(self.first(sample)))
        return {"y": self.linear(maps.mean((2, 3)))}


class Deep(nn.Module):
    """More weights than are tried one by one: a table, one weight twice, changes in place, a product by itself."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(50, 32)
        self.layers = nn.ModuleList(nn.Linear(32, 32) for _ in range(18))
        self.layers.append(self.layers[3])
        self.last = nn.Linear(32, 40)
        self.unused = nn.Linear(32, 32)
        self.by_itself = nn.Parameter(torch.randn(40, 40) / 6)
        self.not_called = nn.Linear(32, 32)
        self.runs = 0

    def forward(self, ids: Tensor) -> dict[str, Tensor]:
        self.runs += 1
        states = self.table(ids)
        for layer in self.layers:
            states = states + layer(states).relu_() * 0.5
        self.unused(states)
        states = self.last(states)
        return {"states": states, "y": states.mean(1) @ self.by_itself}


def nothing() -> None:
    """Forget nothing: the models' weights are in no file."""


def batches(count: int = 4, side: int = 12) -> list[dict[str, Any]]:
    return [{"sample": RANDOM.normal(size=(2, 3, side, side)).astype(np.float32)} for _ in range(count)]


def test_errors_of_a_kernel_are_those_of_its_outputs() -> None:
    model, given = Convolved(), batches()
    study = sensitivity.study(model, given, ("y",), kernels=True)
    difference = RANDOM.normal(size=model.last.weight.shape).astype(np.float32) * 0.01
    assert model.last.weight[0].numel() > 2 * 128  # so that there are several groups, taken for independent
    with torch.inference_mode():
        maps = torch.cat([torch.relu(model.first(torch.from_numpy(batch["sample"]))) for batch in given])
        made = torch.nn.functional.conv2d(maps, torch.from_numpy(difference), stride=2)
    true = float(made.square().mean((0, 2, 3)).sum())
    assert abs(study.error("last.weight", difference.reshape(8, -1)) / true - 1) < 0.3
    assert study.moments.keys() == {"first.weight", "last.weight", "linear.weight"}
    assert sensitivity.study(model, given, ("y",)).moments.keys() == {"linear.weight"}


@pytest.mark.parametrize(
    "options", [{}, {"padding": 1}, {"stride": 2, "padding": (1, 0)}, {"dilation": 2, "padding": 2}, {"side": 40}]
)
def test_what_lies_under_a_kernel_is_pytorchs(options: dict[str, Any]) -> None:
    side = options.pop("side", 9)
    layer = nn.Conv2d(3, 4, (3, 2), **options)
    x = torch.from_numpy(RANDOM.normal(size=(2, 3, side, side)).astype(np.float32))
    every = unfold(x, layer.kernel_size, layer.dilation, layer.padding, layer.stride).transpose(1, 2).flatten(0, 1)
    some = sensitivity.under(layer, x)
    assert torch.equal(some, every[:: max(len(every) // 1024, 1)])
    assert len(some) <= 2048


def test_weights_that_are_known_are_not_tried_again() -> None:
    model, given = Convolved(), batches(2)
    found = losses.losses(model, given, ("y",), {}, nothing)
    assert {key.partition(" ")[0] for key in found} == {"first.weight", "last.weight", "linear.weight"}
    assert model.runs == 8  # of two batches: the original, and each weight rounded
    tuned = Convolved()
    with torch.no_grad():
        tuned.last.weight[0, 0, 0, 0] += 0.5
    again = losses.losses(tuned, given, ("y",), found, nothing)
    assert tuned.runs == 4
    assert len(again.keys() & found.keys()) == 2
    assert losses.architecture(tuned) == losses.architecture(model)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, dict(Convolved().named_parameters())[name])


def test_many_weights_are_estimated_as_if_each_were_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Deep().eval()
    given = [{"ids": RANDOM.integers(0, 50, size=(8, length))} for length in (6, 9)]
    estimated = losses.losses(model, given, ("states", "y"), {}, nothing)
    assert not any(parameter.grad is not None for parameter in model.parameters())
    assert model.runs == 2 + 2 * 2  # of two batches; the product by itself is tried
    monkeypatch.setattr(probes, "COUNT", 100)
    tried = losses.losses(model, given, ("states", "y"), {}, nothing)
    assert estimated.keys() == tried.keys()
    for name in ("unused.", "not_called."):
        (key,) = (key for key in tried if key.startswith(name))
        assert estimated.pop(key) == tried.pop(key) == 0
    ratios = np.array([estimated[key] / tried[key] for key in tried])
    assert len(ratios) == 21
    assert ratios.min() > 0.5
    assert ratios.max() < 2
    assert abs(np.log(ratios).mean()) < 0.1


def test_a_model_that_records_no_graph_is_tried() -> None:
    model = Deep().eval()
    model.forward = torch.no_grad()(model.forward)  # type: ignore[method-assign]
    given = [{"ids": RANDOM.integers(0, 50, size=(2, 6))}]
    found = losses.losses(model, given, ("states", "y"), {}, nothing)
    assert model.runs == 2 + len(found)  # one that tells, the original, and each weight
    assert sum(loss > 0 for loss in found.values()) == len(found) - 2


def test_maps_are_cropped_to_their_middle() -> None:
    (given,) = batches(1)
    ((cropped),) = excerpts.cropped([{**given, "other": np.ones(3)}], {"sample": 4})
    np.testing.assert_array_equal(cropped["sample"], given["sample"][:, :, 4:8, 4:8])
    np.testing.assert_array_equal(cropped["other"], np.ones(3))
    (whole,) = excerpts.cropped([given], {"sample": 20})
    np.testing.assert_array_equal(whole["sample"], given["sample"])


class Summed(nn.Module):
    """Two inputs, of which one counts twice."""

    def forward(self, sample: Tensor, states: Tensor, vector: Tensor) -> dict[str, Tensor]:
        return {"y": torch.cat([sample + 2 * states, vector], dim=1)}


def test_the_noise_that_a_model_passes_on(tmp_path: Path) -> None:
    """Of noise of a share r of two inputs, the output has r (4 |states|² + |vector|²) / |output|²."""
    sample, states = (RANDOM.normal(size=(4, 5000)).astype(np.float32) * size for size in (3, 1))
    vector = RANDOM.normal(size=(4, 5000)).astype(np.float32)
    feeds = {"sample": sample, "states": states, "vector": vector}
    output = np.square(sample + 2 * states).sum(1) + np.square(vector).sum(1)
    share = (4 * np.square(states).sum(1) + np.square(vector).sum(1)) / output
    found = losses.passed(Summed(), [feeds], ("y",), ("states", "vector"))
    assert found == pytest.approx(share.mean(), rel=0.05)
    assert losses.passed(Summed(), [feeds], ("y",), ()) == 0
    sensitivity.Study(passed=found).save(tmp_path / "study.npz")
    assert sensitivity.load(tmp_path / "study.npz").passed == found
