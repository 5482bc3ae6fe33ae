"""Modules that have their weights in turn: the memory of the largest instead of that of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from edgepack import memory


class Turns:
    """``modules`` of which one has its weights at a time: those of the same module, which ``reopen`` opens anew."""

    def __init__(self, modules: Mapping[str, nn.Module], reopen: Callable[[str], nn.Module]) -> None:
        self._modules, self._reopen = modules, reopen
        self._name = ""

    def take(self, name: str) -> None:
        """Let the module ``name`` have its weights, and the one before let go of its own."""
        if name == self._name:
            return
        if self._name:
            empty(self._modules[self._name])
        self._name = name
        stored = dict(self._reopen(name).named_parameters())
        for path, parameter in self._modules[name].named_parameters():
            parameter.data = stored[path].data


def empty(module: nn.Module) -> None:
    """Let go of the weights of ``module``, whose parameters stay with no values."""
    for parameter in module.parameters():
        parameter.data = torch.empty(0)
    memory.release()
