"""Statistics of calibration inputs: how the inputs of each layer vary together, and what errors cost."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from edgepack.arrays import Array, Feeds
from edgepack.documents import JsonDict
from edgepack.formats.coreml.export.encoders import palettized
from edgepack.quantization.gptq import GROUP, covariance

_LEAST = 256  # values of a weight that is looked at
_EVERY = 3  # of the batches tells what coarse weights lose
_PLACES = 1024  # of maps, of each batch
_REFERENCE = 6  # bits that each weight is given in its turn
_MOMENTS, _LOSSES = "moments/", "losses/"  # and a weight's name: the arrays of a file


@dataclass(frozen=True)
class Study:
    """The study of a model, by the weights' names in PyTorch.

    ``moments`` float32 [groups, 128, 128]: the mean of x x^T of what enters a linear layer. ``losses``: the mean
    squared error of the model's output, relative to its size, with that weight alone at ``_REFERENCE`` bits.
    """

    moments: Mapping[str, Array] = field(default_factory=dict)
    losses: Mapping[str, float] = field(default_factory=dict)

    def importance(self, name: str, width: int) -> Array | None:
        """Return the mean square of each of a layer's ``width`` inputs, float32 [width]; None where it was not seen."""
        if name not in self.moments:
            return None
        found: Array = np.diagonal(self.moments[name], axis1=1, axis2=2).ravel()[:width]
        return np.maximum(found, np.float32(1e-12))

    def error(self, name: str, difference: Array) -> float:
        """Return the energy that ``difference`` [rows, width] of a weight adds to its layer's outputs, summed over
        rows.
        """
        if name not in self.moments:
            return float(np.square(difference, dtype=np.float64).sum())
        moments = self.moments[name]
        padded = np.pad(difference, ((0, 0), (0, len(moments) * GROUP - difference.shape[1])))
        split = padded.reshape(len(padded), len(moments), GROUP).transpose(1, 0, 2)
        return float(np.einsum("srk,srk->", split @ moments, split, dtype=np.float64))

    def save(self, file: Path) -> None:
        """Write it as .npz."""
        arrays: JsonDict = {_MOMENTS + name: array for name, array in self.moments.items()}
        arrays |= {_LOSSES + name: np.array(loss) for name, loss in self.losses.items()}
        np.savez(file, **arrays)


def load(file: Path) -> Study:
    """Return what ``save`` wrote; moments are read from the file when they are asked for."""
    with np.load(file) as stored:
        losses = {key.removeprefix(_LOSSES): float(stored[key]) for key in stored.files if key.startswith(_LOSSES)}
    return Study(_Moments(file), losses)


class _Moments(Mapping[str, Array]):
    """The moments in a file: those of a large model, hundreds of megabytes, are not in memory together."""

    def __init__(self, file: Path) -> None:
        self._stored = np.load(file)
        self._last: dict[str, Array] = {}  # the one that is in use
        self._names = {key.removeprefix(_MOMENTS) for key in self._stored.files if key.startswith(_MOMENTS)}

    def __getitem__(self, name: str) -> Array:
        if name not in self._last:
            self._last = {name: self._stored[_MOMENTS + name]}
        return self._last[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def study(module: nn.Module, batches: Sequence[Feeds], outputs: tuple[str, ...], *, kernels: bool = False) -> Study:
    """Run ``batches`` through ``module``, and note how the inputs of its layers vary together.

    With ``kernels`` those of convolutions too, whose inputs are what lies under a kernel.
    """
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with _watched(module, kernels) as moments:
            _run(module, batches, outputs)
    return Study(moments)


def losses(
    module: nn.Module, batches: Sequence[Feeds], outputs: tuple[str, ...], known: Mapping[str, float]
) -> dict[str, float]:
    """Return what errors of each weight cost, by its name and hash (see ``key``): run ``batches`` for each.

    Those that are ``known`` are not measured again.
    """
    found = {}
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        true: list[Tensor] = []
        for name, parameter in module.named_parameters():
            if parameter.ndim < 2 or parameter.numel() < _LEAST:
                continue
            place = key(name, parameter)
            if place in known:
                found[place] = known[place]
                continue
            true = true or _run(module, batches, outputs)
            with _coarse(parameter):
                found[place] = _loss(_run(module, batches, outputs), true)
    return found


def key(name: str, parameter: Tensor) -> str:
    """Return the name of a parameter and the SHA-256 of its values."""
    return f"{name} {hashlib.sha256(np.ascontiguousarray(parameter.numpy()).data).hexdigest()}"


def architecture(module: nn.Module) -> str:
    """Return a hash of the parameters' names and shapes, which fine-tunes of a model share."""
    parts = [f"{name} {list(parameter.shape)}" for name, parameter in module.named_parameters()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def few(batches: Sequence[Feeds]) -> Sequence[Feeds]:
    """Return some of ``batches``, each of texts of like length."""
    return batches[::_EVERY]


def spread(batches: Sequence[Feeds]) -> list[Feeds]:
    """Return as many of ``batches``, which were recorded one after the other: the first and the last among them."""
    count = min(max(len(batches) // _EVERY, 2), len(batches))
    return [batches[round(place)] for place in np.linspace(0, len(batches) - 1, count)]


def joined(batches: Sequence[Feeds]) -> list[Feeds]:
    """Return ``batches`` of equal shapes as one, whose scalars become one for each row: weights are read once."""
    rows = [next(len(array) for array in batch.values() if array.ndim) for batch in batches]

    def together(name: str) -> Array:
        parts = [batch[name] for batch in batches]
        if parts[0].ndim:
            return np.concatenate(parts)
        return np.repeat(np.array(parts), rows)

    return [{name: together(name) for name in batches[0]}]


def cropped(batches: Sequence[Feeds], sides: Mapping[str, int]) -> list[Feeds]:
    """Return ``batches`` with the middle of each map whose largest side is named in ``sides``.

    What an error costs on a part of an image stands for the whole; a pass takes a fraction of the time.
    """
    return [{name: _middle(array, sides.get(name, 0)) for name, array in batch.items()} for batch in batches]


def _middle(array: Array, side: int) -> Array:
    if not side:
        return array
    top, left = (max(0, (size - side) // 2) for size in array.shape[2:])
    return np.ascontiguousarray(array[:, :, top : top + side, left : left + side])


def _run(module: nn.Module, batches: Sequence[Feeds], outputs: tuple[str, ...]) -> list[Tensor]:
    found = (module(**{key: torch.from_numpy(array) for key, array in batch.items()}) for batch in batches)
    return [made[name].float().flatten(1) for made in found for name in outputs if name in made]


@contextmanager
def _watched(module: nn.Module, kernels: bool) -> Iterator[dict[str, Array]]:
    """Collect the moments of what enters the linear layers (and ``kernels``) meanwhile, padding included."""
    sums: dict[str, Array] = {}
    rows: dict[str, int] = {}

    def watch(name: str) -> Callable[..., None]:
        def hook(layer: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
            if isinstance(layer, nn.Conv2d):
                x = under(layer, given[0]).numpy()
            else:
                entered = given[0].flatten(0, -2)
                x = (_some(entered) if kernels else entered).numpy()
            sums[name] = sums.get(name, np.float32(0)) + covariance(x, GROUP) * np.float32(len(x))
            rows[name] = rows.get(name, 0) + len(x)

        return hook

    hooks = [
        layer.register_forward_hook(watch(f"{path}.weight"))
        for path, layer in module.named_modules()
        if isinstance(layer, nn.Linear) or (kernels and isinstance(layer, nn.Conv2d) and layer.groups == 1)
    ]
    try:
        yield sums
    finally:
        for hook in hooks:
            hook.remove()
        for name in sums:
            sums[name] = sums[name] / np.float32(rows[name])


@contextmanager
def _coarse(parameter: nn.Parameter) -> Iterator[None]:
    """Round the values meanwhile."""
    kept = parameter.data
    try:
        parameter.data = torch.from_numpy(reference(kept.numpy()))
        yield
    finally:
        parameter.data = kept


def under(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Return what lies under the kernel at some places of ``x``: [places, channels * height * width of the kernel].

    The windows at all places, nine times ``x`` and more, are never in memory.
    """
    around = (0, 0) if isinstance(layer.padding, str) else layer.padding  # "same" and "valid" tell the edges apart
    windows = pad(x, (around[1], around[1], around[0], around[0]))
    for axis, size, step, apart in zip((2, 3), layer.kernel_size, layer.stride, layer.dilation, strict=True):
        windows = windows.unfold(axis, (size - 1) * apart + 1, step)[..., ::apart]
    rows, _, height, width = windows.shape[:4]
    row, y, x = torch.unravel_index(_some(torch.arange(rows * height * width)), (rows, height, width))
    return windows[row, :, y, x].flatten(1)


def _some(places: Tensor) -> Tensor:
    """Return places all over the maps: a layer of a large image has more than its moments take."""
    return places[:: max(len(places) // _PLACES, 1)]


def reference(weight: Array) -> Array:
    """Return ``weight`` as its loss is measured: one palette of ``_REFERENCE`` bits."""
    return palettized(weight, _REFERENCE).restored()


def _loss(made: Sequence[Tensor], true: Sequence[Tensor]) -> float:
    parts = [((a - b).square().sum(1) / b.square().sum(1).clamp(min=1e-12)) for a, b in zip(made, true, strict=True)]
    return float(torch.cat(parts).mean())
