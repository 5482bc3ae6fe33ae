"""Recurrent layers over x [steps, batch, inputs]."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from edgepack.coreml.ops.registry import op

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "hard_sigmoid": lambda x: (0.2 * x + 0.5).clamp(0, 1),
    "linear": lambda x: x,
    "relu": torch.relu,
    "scaled_tanh": lambda x: 1.7159 * torch.tanh(2 / 3 * x),
    "sigmoid": torch.sigmoid,
    "sigmoid_hard": lambda x: (0.2 * x + 0.5).clamp(0, 1),
    "tanh": torch.tanh,
}


@op("rnn")
def rnn(
    x: Tensor,
    initial_h: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    direction: str = "forward",
    output_sequence: bool = False,
    activation: str = "tanh",
) -> tuple[Tensor, Tensor]:
    """Return (all hidden values or the last, the last): h = activation(W_ih x + W_hh h + b) (Elman 1990)."""
    drive, h, every = F.linear(x, weight_ih, bias), initial_h, []
    for step in drive.flip(0) if direction == "reverse" else drive:
        h = _ACTIVATIONS[activation](step + F.linear(h, weight_hh))
        every.append(h)
    return _sequence(every, direction, output_sequence), h


@op("lstm")
def lstm(
    x: Tensor,
    initial_h: Tensor,
    initial_c: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    peephole: Tensor | None = None,
    weight_ih_back: Tensor | None = None,
    weight_hh_back: Tensor | None = None,
    bias_back: Tensor | None = None,
    peephole_back: Tensor | None = None,
    direction: str = "forward",
    output_sequence: bool = False,
    recurrent_activation: str = "sigmoid",
    cell_activation: str = "tanh",
    activation: str = "tanh",
    clip: float | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (all hidden values or the last, the last, the last cell) (Hochreiter & Schmidhuber 1997).

    Gates lie in the order input, forget, output, cell; both directions of a bidirectional one side by side.
    """
    kinds = (recurrent_activation, cell_activation, activation)
    if direction != "bidirectional" or weight_ih_back is None or weight_hh_back is None:
        cell = _Lstm(weight_ih, weight_hh, bias, peephole, kinds, clip)
        return cell(x, initial_h, initial_c, direction, output_sequence)
    (h, h_back), (c, c_back) = initial_h.chunk(2, -1), initial_c.chunk(2, -1)
    ahead = _Lstm(weight_ih, weight_hh, bias, peephole, kinds, clip)(x, h, c, "forward", output_sequence)
    back = _Lstm(weight_ih_back, weight_hh_back, bias_back, peephole_back, kinds, clip)
    behind = back(x, h_back, c_back, "reverse", output_sequence)
    first, second, third = (torch.cat(pair, -1) for pair in zip(ahead, behind, strict=True))
    return first, second, third


class _Lstm:
    """One direction."""

    def __init__(
        self,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias: Tensor | None,
        peephole: Tensor | None,
        kinds: tuple[str, str, str],
        clip: float | None,
    ) -> None:
        self._weights, self._bias, self._clip = (weight_ih, weight_hh), bias, clip
        self._peepholes = peephole.chunk(3) if peephole is not None else (0, 0, 0)
        self._gate, self._cell, self._out = (_ACTIVATIONS[kind] for kind in kinds)

    def __call__(
        self, x: Tensor, h: Tensor, c: Tensor, direction: str, output_sequence: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run over all steps, from the last to the first if reversed."""
        drive, every = F.linear(x, self._weights[0], self._bias), []
        for step in drive.flip(0) if direction == "reverse" else drive:
            h, c = self._step(step + F.linear(h, self._weights[1]), c)
            every.append(h)
        return _sequence(every, direction, output_sequence), h, c

    def _step(self, sums: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        if self._clip is not None:
            sums = sums.clamp(-self._clip, self._clip)
        (i, f, o, z), (see_i, see_f, see_o) = sums.chunk(4, -1), self._peepholes
        c = self._gate(f + see_f * c) * c + self._gate(i + see_i * c) * self._cell(z)
        return self._gate(o + see_o * c) * self._out(c), c


def _sequence(every: list[Tensor], direction: str, whole: bool) -> Tensor:
    if not whole:
        return every[-1].unsqueeze(0)
    return torch.stack(every[::-1] if direction == "reverse" else every)
