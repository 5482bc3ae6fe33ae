"""The cost of errors of all weights, one by one, estimated from a few passes back through a model.

An error D of a layer's weight moves the layer's outputs by u, what the layer computes with D in the weight's place, and
the model's outputs by J u to first order, with J their derivative by the layer's. For a vector v of independent normal
numbers the mean of (v J u) squared is the square of J u (Hutchinson 1989), and one pass back gives v J of all layers at
once. ``COUNT`` vectors, and as many rows as there are, leave a relative standard deviation of sqrt(2 / COUNT / rows).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers.pytorch_utils import Conv1D

from edgepack import memory
from edgepack.arrays import Feeds

COUNT = 16  # passes back for each batch
_LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.Embedding, Conv1D)
_SEED = 0


@dataclass(frozen=True)
class _Call:
    """A call of a layer: what it made, and by what an error of its ``weight`` (a name) moves that."""

    weight: str
    made: Tensor
    moved: Tensor


def estimated(
    module: nn.Module,
    batches: Sequence[Feeds],
    outputs: tuple[str, ...],
    weights: Collection[str],
    error: Callable[[nn.Parameter], Tensor],
    forget: Callable[[], None],
) -> dict[str, float]:
    """Return the mean squared error of ``outputs``, relative to their size, for the ``error`` of each of ``weights``.

    Those that no output depends on cost nothing. Others of layers that are not linear in them are left out, and all of
    a model that lets no graph be recorded.
    ``forget`` lets go of the pages that weights are mapped from.
    """
    generator = torch.Generator().manual_seed(_SEED)
    parameters = {name: one for name, one in module.named_parameters() if name in weights}
    sums: dict[str, float] = {}
    rows, apart = 0, set(weights)  # from what the outputs depend on
    with _differentiable(module):
        for batch in batches:
            with _watching(module, weights, error, forget) as calls:
                made = module(**{name: torch.from_numpy(array) for name, array in batch.items()})
            true = [made[name].float() for name in outputs if name in made]
            if not all(one.requires_grad for one in true):  # computed where no graph is recorded
                return {}
            rows += sum(len(one) for one in true)
            apart -= {call.weight for call in calls}
            apart -= _read(true, {name: parameters[name] for name in apart})
            for _ in range(COUNT):
                for name, square in _probed(calls, true, generator).items():
                    sums[name] = sums.get(name, 0.0) + square / COUNT
    return {name: total / rows for name, total in sums.items()} | dict.fromkeys(apart, 0.0)


def _read(outputs: Sequence[Tensor], weights: Mapping[str, nn.Parameter]) -> set[str]:
    """Return the names of the ``weights`` that ``outputs`` depend on."""
    if not weights:
        return set()
    total = torch.stack([one.sum() for one in outputs]).sum()
    slopes = torch.autograd.grad(total, tuple(weights.values()), retain_graph=True, allow_unused=True)
    return {name for name, slope in zip(weights, slopes, strict=True) if slope is not None}


def _probed(calls: Sequence[_Call], true: Sequence[Tensor], generator: torch.Generator) -> dict[str, float]:
    """Return the squares of v J u, summed over rows, with a v of its own for each row of each output."""
    vectors = [torch.randn(one.shape, generator=generator) / _size(one) for one in true]
    slopes = torch.autograd.grad(true, [call.made for call in calls], vectors, retain_graph=True, allow_unused=True)
    found: dict[str, Tensor] = {}
    for call, slope in zip(calls, slopes, strict=True):
        product = torch.zeros(1) if slope is None else slope * call.moved
        each = product.flatten(1).sum(1) if product.ndim > 1 and len(product) == len(true[0]) else product.sum()[None]
        found[call.weight] = found[call.weight] + each if call.weight in found else each
    return {name: float(each.double().square().sum()) for name, each in found.items()}


def _size(output: Tensor) -> Tensor:
    """Return the norm of each row, of the shape of ``output`` with sides of 1."""
    norms = output.detach().flatten(1).norm(dim=1).clamp(min=1e-6)
    return norms.view(-1, *[1] * (output.ndim - 1))


@contextmanager
def _differentiable(module: nn.Module) -> Iterator[None]:
    """Let a graph be recorded in which every layer's outputs have a place."""
    before = {parameter: parameter.requires_grad for parameter in module.parameters()}
    try:
        for parameter in before:
            parameter.requires_grad_(parameter.is_floating_point())
        with torch.enable_grad():
            yield
    finally:
        for parameter, wanted in before.items():
            parameter.requires_grad_(wanted)


@contextmanager
def _watching(
    module: nn.Module, weights: Collection[str], error: Callable[[nn.Parameter], Tensor], forget: Callable[[], None]
) -> Iterator[list[_Call]]:
    """Collect the calls of the layers that ``weights`` belong to meanwhile."""
    names = {parameter: name for name, parameter in module.named_parameters() if name in weights}
    calls: list[_Call] = []
    passing = memory.Passing(forget)

    def hook(layer: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> Tensor:
        if not made.requires_grad:
            return made
        weight, bias = cast(nn.Parameter, layer.weight), getattr(layer, "bias", None)
        with torch.no_grad():
            wrong = {"weight": error(weight)}
            if bias is not None:
                wrong["bias"] = torch.zeros_like(bias)
            moved = functional_call(_Bare(layer), {f"layer.{name}": one for name, one in wrong.items()}, given)
        made.register_hook(lambda slope: passing(weight.nbytes))
        calls.append(_Call(names[weight], made, moved))
        return made.clone()  # what changes it in place leaves what was collected

    layers = [one for one in module.modules() if isinstance(one, _LINEAR) and one.weight in names]
    hooks = [layer.register_forward_hook(hook) for layer in layers]
    try:
        yield calls
    finally:
        for one in hooks:
            one.remove()


class _Bare(nn.Module):
    """``layer`` without its hooks."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *given: Tensor) -> Tensor:
        """Compute what the layer does."""
        made: Tensor = self.layer.forward(*given)
        return made
