"""Which form for which weight: the least loss within a number of bytes.

A form's loss is what the model's output lost when that weight alone was coarse, times the ratio of the two errors in
the layer's own outputs; losses of several weights add up. The choice minimises loss + price x bytes (Everett 1963),
with the lowest price whose choice fits; what then is left of the budget goes to the best steps that fit into it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgepack.formats.coreml.compressed import Form

_HALVINGS = 100


@dataclass(frozen=True)
class Option:
    """A form that a weight could have."""

    form: Form
    loss: float


def choose(options: Mapping[str, Sequence[Option]], budget: int) -> dict[str, Form] | None:
    """A form for every weight, of ``budget`` bytes at most; None where even the smallest are more."""
    low, high = 1e-18, 1e6  # loss per byte
    if _bytes(_at(options, high)) > budget:
        return None
    for _ in range(_HALVINGS):
        price = (low * high) ** 0.5
        low, high = (price, high) if _bytes(_at(options, price)) > budget else (low, price)
    return {name: option.form for name, option in _filled(options, _at(options, high), budget).items()}


def _at(options: Mapping[str, Sequence[Option]], price: float) -> dict[str, Option]:
    return {name: min(some, key=lambda o: o.loss + price * o.form.bytes) for name, some in options.items()}


def _filled(options: Mapping[str, Sequence[Option]], chosen: dict[str, Option], budget: int) -> dict[str, Option]:
    """One weight after the other a finer form, the step that gains most per byte first."""
    while True:
        left = budget - _bytes(chosen)
        steps = [
            ((now.loss - option.loss) / max(option.form.bytes - now.form.bytes, 1), name, option)
            for name, now in chosen.items()
            for option in options[name]
            if option.loss < now.loss and option.form.bytes - now.form.bytes <= left
        ]
        if not steps:
            return chosen
        _, name, option = max(steps, key=lambda step: step[:2])
        chosen = {**chosen, name: option}


def _bytes(chosen: Mapping[str, Option]) -> int:
    return sum(option.form.bytes for option in chosen.values())
