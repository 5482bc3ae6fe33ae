"""Statistics of calibration inputs: how the inputs of each layer vary together."""

from __future__ import annotations

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
from edgepack.formats.coreml.export.losses import run
from edgepack.quantization.gptq import GROUP, covariance

_PLACES = 1024  # of maps, of each batch
_MOMENTS, _LOSSES = "moments/", "losses/"  # and a weight's name: the arrays of a file
_PASSED = "passed"


@dataclass(frozen=True)
class Study:
    """The study of a model, by the weights' names in PyTorch.

    ``moments`` float32 [groups, 128, 128]: the mean of x x^T of what enters a linear layer. ``losses``: the mean
    squared error of the model's output, relative to its size, with that weight alone coarse (losses.py). ``passed``:
    of noise in what a text encoder gives, the share that a UNet passes on to its output.
    """

    moments: Mapping[str, Array] = field(default_factory=dict)
    losses: Mapping[str, float] = field(default_factory=dict)
    passed: float = 1.0

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
        arrays[_PASSED] = np.array(self.passed)
        np.savez(file, **arrays)


def load(file: Path) -> Study:
    """Return what ``save`` wrote; moments are read from the file when they are asked for."""
    with np.load(file) as stored:
        losses = {key.removeprefix(_LOSSES): float(stored[key]) for key in stored.files if key.startswith(_LOSSES)}
        passed = float(stored[_PASSED])
    return Study(_Moments(file), losses, passed)


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
            run(module, batches, outputs)
    return Study(moments)


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
