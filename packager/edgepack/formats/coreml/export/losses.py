"""The cost of an error of a single weight: how far the outputs move where that weight alone is coarse.

A few weights are tried one after the other, a pass each; of many it is estimated from a few passes (probes.py).
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from edgepack import memory
from edgepack.arrays import Array, Feeds
from edgepack.formats.coreml.export import probes
from edgepack.formats.coreml.export.encoders import palettized

_LEAST = 256  # values of a weight that is looked at
_BITS = 6  # that each weight is given in its turn
_NOISE = 0.01  # relative to what it is added to


def losses(
    module: nn.Module,
    batches: Sequence[Feeds],
    outputs: tuple[str, ...],
    known: Mapping[str, float],
    forget: Callable[[], None],
) -> dict[str, float]:
    """Return what errors of each weight cost, by its name and hash (see ``key``), on ``batches``.

    The mean squared error of the ``outputs``, relative to their size, with that weight alone as ``reference`` has it.
    Those that are ``known`` are not looked at again. ``forget`` lets go of the pages that weights are mapped from.
    """
    large = {n: one for n, one in module.named_parameters() if one.ndim >= 2 and one.numel() >= _LEAST}
    places = _places(large, forget)
    found = {place: known[place] for place in places.values() if place in known}
    news = [name for name, place in places.items() if place not in known]
    estimated = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if len(news) > probes.COUNT:
            estimated = probes.estimated(module, batches, outputs, news, _error, forget)
        tried = _tried(module, batches, outputs, {name: large[name] for name in news if name not in estimated})
    return found | {places[name]: loss for name, loss in (estimated | tried).items()}


def passed(module: nn.Module, batches: Sequence[Feeds], outputs: tuple[str, ...], inputs: Collection[str]) -> float:
    """Return how much noise in ``inputs`` becomes noise in ``outputs``, both relative to their size, squared.

    Normal noise of a hundredth of the size of each row is added to those inputs together.
    """
    generator = torch.Generator().manual_seed(0)

    def noisy(values: Array) -> Array:
        noise = torch.randn(values.shape, generator=generator).numpy()
        axes = tuple(range(1, values.ndim))
        size = np.sqrt(np.mean(np.square(values, dtype=np.float64), axis=axes, keepdims=True))
        return np.asarray(values + _NOISE * size * noise, values.dtype)

    changed = [{name: noisy(one) if name in inputs else one for name, one in batch.items()} for batch in batches]
    with torch.inference_mode():
        return _loss(run(module, changed, outputs), run(module, batches, outputs)) / _NOISE**2


def _places(weights: Mapping[str, nn.Parameter], forget: Callable[[], None]) -> dict[str, str]:
    """Return each weight's ``key``."""
    places, passing = {}, memory.Passing(forget)
    for name, parameter in weights.items():
        places[name] = key(name, parameter)
        passing(parameter.nbytes)
    return places


def _tried(
    module: nn.Module, batches: Sequence[Feeds], outputs: tuple[str, ...], weights: Mapping[str, nn.Parameter]
) -> dict[str, float]:
    found: dict[str, float] = {}
    with torch.inference_mode():
        true = run(module, batches, outputs) if weights else []
        for name, parameter in weights.items():
            with _coarse(parameter):
                found[name] = _loss(run(module, batches, outputs), true)
    return found


def key(name: str, parameter: Tensor) -> str:
    """Return the name of a parameter and the SHA-256 of its values."""
    return f"{name} {hashlib.sha256(np.ascontiguousarray(parameter.detach().numpy()).data).hexdigest()}"


def architecture(module: nn.Module) -> str:
    """Return a hash of the parameters' names and shapes, which fine-tunes of a model share."""
    parts = [f"{name} {list(parameter.shape)}" for name, parameter in module.named_parameters()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def run(module: nn.Module, batches: Sequence[Feeds], outputs: tuple[str, ...]) -> list[Tensor]:
    """Return each of ``outputs`` for each of ``batches``, float32 [rows, values]."""
    found = (module(**{key: torch.from_numpy(array) for key, array in batch.items()}) for batch in batches)
    return [made[name].float().flatten(1) for made in found for name in outputs if name in made]


@contextmanager
def _coarse(parameter: nn.Parameter) -> Iterator[None]:
    """Round the values meanwhile."""
    kept = parameter.data
    try:
        parameter.data = torch.from_numpy(reference(kept.numpy()))
        yield
    finally:
        parameter.data = kept


def reference(weight: Array) -> Array:
    """Return ``weight`` as its loss is measured: one palette of ``_BITS`` bits."""
    return palettized(weight, _BITS).restored()


def _error(parameter: nn.Parameter) -> Tensor:
    """Return what is added to a weight where it is coarse."""
    weight = parameter.detach()
    return torch.from_numpy(reference(weight.numpy())) - weight


def _loss(made: Sequence[Tensor], true: Sequence[Tensor]) -> float:
    parts = [((a - b).square().sum(1) / b.square().sum(1).clamp(min=1e-12)) for a, b in zip(made, true, strict=True)]
    return float(torch.cat(parts).mean())
