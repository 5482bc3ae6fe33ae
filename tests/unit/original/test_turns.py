"""Modules whose weights are in memory in turn."""

from __future__ import annotations

import torch
from torch import nn

from edgepack.original.turns import Turns, empty


def layer(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8))


def test_one_module_has_its_weights_at_a_time() -> None:
    modules, seeds, opened = {"a": layer(0), "b": layer(1)}, {"a": 0, "b": 1}, []

    def reopen(name: str) -> nn.Module:
        opened.append(name)
        return layer(seeds[name])

    given = torch.ones(2, 8)
    true = {name: module(given) for name, module in modules.items()}
    for module in modules.values():
        empty(module)
    turns = Turns(modules, reopen)
    for name in ("a", "b", "b", "a"):
        turns.take(name)
        assert torch.equal(modules[name](given), true[name])
        (other,) = modules.keys() - {name}
        assert not any(parameter.numel() for parameter in modules[other].parameters())
    assert opened == ["a", "b", "a"]
