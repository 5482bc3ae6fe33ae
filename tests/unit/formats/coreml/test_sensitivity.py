"""What calibration tells of a model's weights: its layers' inputs, and what errors of each weight cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import unfold

from edgepack.formats.coreml.export import sensitivity

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
    found = sensitivity.losses(model, given, ("y",), {})
    assert {key.partition(" ")[0] for key in found} == {"first.weight", "last.weight", "linear.weight"}
    assert model.runs == 8  # of two batches: the original, and each weight rounded
    tuned = Convolved()
    with torch.no_grad():
        tuned.last.weight[0, 0, 0, 0] += 0.5
    again = sensitivity.losses(tuned, given, ("y",), found)
    assert tuned.runs == 4
    assert len(again.keys() & found.keys()) == 2
    assert sensitivity.architecture(tuned) == sensitivity.architecture(model)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, dict(Convolved().named_parameters())[name])


def test_maps_are_cropped_to_their_middle() -> None:
    (given,) = batches(1)
    ((cropped),) = sensitivity.cropped([{**given, "other": np.ones(3)}], {"sample": 4})
    np.testing.assert_array_equal(cropped["sample"], given["sample"][:, :, 4:8, 4:8])
    np.testing.assert_array_equal(cropped["other"], np.ones(3))
    (whole,) = sensitivity.cropped([given], {"sample": 20})
    np.testing.assert_array_equal(whole["sample"], given["sample"])
